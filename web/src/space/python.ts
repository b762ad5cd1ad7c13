// A selection as what makes it again in Python, and as a table.
import type { Arrangement, Chosen } from "../address";
import { study } from "../state";
import { drawnOn, placesOn, type Space } from "./model";
import type { Selection } from "./selection";

const ARRANGEMENTS = { one: "one-to-one", fill: "fill" } as const;

/** The call that gives the same patches. */
export function python(space: Space, chosen: Chosen | null, selection: Selection | null, arrangement: Arrangement): string {
  const { name } = study();
  const open = `space = Space.open(Study.open(${text(name)}), ${text(space.layer.name)}, network=${text(space.network.name)})`;
  return ["from layerscope import Space, Study", "", open, ...calls(chosen, selection, arrangement)].join("\n") + "\n";
}

function calls(chosen: Chosen | null, selection: Selection | null, arrangement: Arrangement): string[] {
  if (chosen === null) return ["filters = space.suggested"];
  if ("patch" in chosen) return [`strongest = space.strongest(${chosen.patch})`, `nearest = space.nearest(${chosen.patch})`];
  if ("filter" in chosen) return [`activations = space.vectors[:, ${chosen.filter}]`];
  if ("picture" in chosen) return ["import numpy as np", "", `members = np.flatnonzero(space.pictures == ${chosen.picture})`];
  if ("class" in chosen) return ["import numpy as np", "", `members = np.flatnonzero(space.classes == ${chosen.class})`];
  if ("region" in chosen) return [`region = space.suggested[${chosen.region - 1}]`, "filters = space.filters(region)"];
  const outline = selection?.outline;
  if (!outline) return [];
  const on = ARRANGEMENTS[selection?.on ?? drawnOn(arrangement)];
  const border = "box" in outline ? `(${outline.box.join(", ")})` : `[${outline.corners.map((corner) => `(${corner.join(", ")})`).join(", ")}]`;
  return [`region = space.region(${border}, "${on}")`, "filters = space.filters(region)"];
}

/** A literal of Python: JSON's escapes are Python's, but for those of signs beyond 16 bits, which JSON keeps. */
function text(value: string): string {
  return JSON.stringify(value);
}

/** The patches of a selection, a row each. */
export function csv(space: Space, selection: Selection, name: (picture: number) => string, label: ((picture: number) => string) | null): string {
  const { x, y } = placesOn(space, selection.on);
  const head = ["patch", "picture", "name", ...(label ? ["class"] : []), "row", "column", "top", "left", "bottom", "right", "x", "y"];
  const lines = Array.from(selection.members, (patch) => {
    const picture = space.picture[patch]!;
    const named = [quoted(name(picture)), ...(label ? [quoted(label(picture))] : [])];
    const boxes = space.boxes.subarray(4 * patch, 4 * patch + 4);
    return [patch, picture, ...named, space.row[patch], space.column[patch], ...boxes, x[patch], y[patch]].join(",");
  });
  return [head.join(","), ...lines].join("\r\n") + "\r\n";
}

/** A field of CSV; a sign that a spreadsheet would take for a formula is set off by an apostrophe. */
function quoted(value: string): string {
  const safe = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** Lets the browser save a text as a file. */
export function save(name: string, content: string): void {
  const address = URL.createObjectURL(new Blob([content], { type: "text/csv;charset=utf-8" }));
  const link = document.createElement("a");
  [link.href, link.download] = [address, name];
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

/** Puts a text on the clipboard; whether that was let. */
export async function copy(content: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(content);
    return true;
  } catch {
    return copyOld(content);
  }
}

/** Where a page may not reach the clipboard by itself: what is marked is copied. */
function copyOld(content: string): boolean {
  const area = document.createElement("textarea");
  area.value = content;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  return done;
}
