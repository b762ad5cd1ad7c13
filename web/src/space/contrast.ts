// The filters of a region against the patches elsewhere, from activations in 256 levels; as `plane/regions.py` finds
// them from the activations themselves, within what a level hides.

export const LEVELS = 256;

/** Of one filter: the mean of its activations and the share of patches where it fires, here and elsewhere (null:
 * there is nothing elsewhere); contrast: how often a patch here excites it more than one elsewhere, ties half. */
export interface Contrast {
  channel: number;
  mean: number;
  meanElsewhere: number | null;
  fires: number;
  firesElsewhere: number | null;
  contrast: number;
}

/** How many of some patches have each level, (channels, 256), added to `into`: `values` is (channels, `all` patches). */
export function count(values: Uint8Array, some: readonly number[], all: number, channels: number, into: Int32Array): void {
  for (let channel = 0; channel < channels; channel++)
    for (const patch of some) into[channel * LEVELS + values[channel * all + patch]!]!++;
}

/** A row per channel; `here` and `all` are (channels, 256), and `members` of `patches` are here. */
export function contrasts(
  here: Int32Array,
  all: Int32Array,
  scale: readonly number[],
  members: number,
  patches: number,
): Contrast[] {
  return scale.map((unit, channel) => {
    const at = channel * LEVELS;
    return ofChannel(here.subarray(at, at + LEVELS), all.subarray(at, at + LEVELS), unit, members, patches, channel);
  });
}

function ofChannel(
  here: Int32Array,
  all: Int32Array,
  unit: number,
  members: number,
  patches: number,
  channel: number,
): Contrast {
  const elsewhere = patches - members;
  let [won, below, sum, total] = [0, 0, 0, 0];
  for (let level = 0; level < LEVELS; level++) {
    const other = all[level]! - here[level]!;
    won += here[level]! * (below + other / 2);
    below += other;
    sum += here[level]! * level;
    total += other * level;
  }
  return {
    channel,
    mean: (sum * unit) / members,
    meanElsewhere: elsewhere ? (total * unit) / elsewhere : null,
    fires: 1 - here[0]! / members,
    firesElsewhere: elsewhere ? 1 - (all[0]! - here[0]!) / elsewhere : null,
    contrast: elsewhere ? won / (members * elsewhere) : 0.5,
  };
}

/** The highest first, equals by channel. */
export function sorted(found: readonly Contrast[], by: "contrast" | "mean"): Contrast[] {
  return [...found].sort((a, b) => b[by] - a[by] || a.channel - b.channel);
}

/** The filters that one patch excites most, at most so many; none that is zero there. */
export function strongest(levels: Uint8Array, scale: readonly number[], most: number): [number, number][] {
  return Array.from(levels, (level, channel) => [channel, level * scale[channel]!] as [number, number])
    .filter(([, value]) => value > 0)
    .sort((a, b) => b[1] - a[1] || a[0] - b[0])
    .slice(0, most);
}
