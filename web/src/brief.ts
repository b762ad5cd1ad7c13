// Names of layers where there is little room: without what most of the network's names begin with.

interface Named {
  layers: { name: string }[];
}

/** What more than half of a network's names begin with: whole parts up to a dot, and letters up to a number, such as
 *  "encoder.layers.encoder_layer_"; "": nothing. */
export function head({ layers }: Named): string {
  const names = layers.map(({ name }) => name);
  let found = "";
  for (;;) {
    const next = common(names, found, /^[^.]+\./) ?? common(names, found, /^[A-Za-z_]+(?=\d)/);
    if (next === null) return found.includes(".") ? found : "";
    found = next;
  }
}

/** What more than half of the names have after a beginning, as far as it looks so; null: nothing. */
function common(names: string[], start: string, part: RegExp): string | null {
  const counts = new Map<string, number>();
  for (const name of names) {
    const own = name.startsWith(start) ? part.exec(name.slice(start.length))?.[0] : undefined;
    if (own !== undefined) counts.set(start + own, (counts.get(start + own) ?? 0) + 1);
  }
  return [...counts].find(([, times]) => 2 * times > names.length)?.[0] ?? null;
}

/** ".10.conv.2" for "features.10.conv.2"; names that do not begin so as they are. */
export function brief(network: Named, name: string): string {
  const start = head(network);
  return start !== "" && name.startsWith(start) ? `.${name.slice(start.length)}` : name;
}
