// Which classes a network takes for which.

export interface Confusion {
  label: number;
  output: number;
  count: number;
}

/** How often pictures of each class are called something else, most often first; of each picture its label, the first
 *  output and the right one, -1 where unknown. */
export function confusions(labels: ArrayLike<number>, first: ArrayLike<number>, right: ArrayLike<number>): Confusion[] {
  const held = new Map<string, Confusion>();
  for (let picture = 0; picture < labels.length; picture++) {
    const [label, output, answer] = [labels[picture] ?? -1, first[picture] ?? -1, right[picture] ?? -1];
    if (label < 0 || output < 0 || answer < 0 || output === answer) continue;
    const key = `${label} ${output}`;
    held.set(key, { label, output, count: (held.get(key)?.count ?? 0) + 1 });
  }
  return [...held.values()].sort((a, b) => b.count - a.count || a.label - b.label || a.output - b.output);
}
