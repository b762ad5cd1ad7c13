// What the parts of the page share while it is open; not in the address.
import { signal } from "@preact/signals";
import type { Tool } from "./tools";

export const tool = signal<Tool>("move");
export const by = signal<"contrast" | "mean">("contrast");
/** A filter that is pointed at: the plane shows where it fires. */
export const preview = signal<number | null>(null);
/** Patches that are pointed at in the panel. */
export const lit = signal<readonly number[]>([]);
/** The patch under the cursor of a plane, by the plane's place: 0, or 1 for the one beside. */
export const pointed = signal<{ plane: 0 | 1; patch: number }>({ plane: 0, patch: -1 });
