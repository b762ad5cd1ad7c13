// Names of layers where there is little room: without what most of the network's names begin with.

interface Named {
  layers: { name: string }[];
}

/** What more than half of a network's names begin with, whole parts up to a dot, such as "features"; "": nothing. */
export function head({ layers }: Named): string {
  let found = "";
  for (;;) {
    const counts = new Map<string, number>();
    for (const { name } of layers) {
      const dot = name.startsWith(found) ? name.indexOf(".", found.length) : -1;
      if (dot > 0) counts.set(name.slice(0, dot + 1), (counts.get(name.slice(0, dot + 1)) ?? 0) + 1);
    }
    const next = [...counts].find(([, times]) => 2 * times > layers.length)?.[0];
    if (next === undefined) return found.slice(0, -1);
    found = next;
  }
}

/** ".10.conv.2" for "features.10.conv.2"; names that do not begin so, or are no longer, as they are. */
export function brief(network: Named, name: string): string {
  const start = head(network);
  return start !== "" && name.startsWith(`${start}.`) ? name.slice(start.length) : name;
}
