// The keys of a plane.
import { useKeys } from "../keys";
import type { Chosen } from "../address";
import type { Controller } from "./controller";
import { by, tool } from "./store";
import type { Tool } from "./tools";

const ARROWS: Record<string, [number, number]> = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export function useSpaceKeys(plane: () => Controller | null, chosen: Chosen | null, choose: (chosen: Chosen | null) => void): void {
  const pick = (name: Tool) => () => void (tool.value = name);
  const clear = () => {
    const made = plane();
    if (made) made.cursor = -1;
    choose(null);
  };
  const clears = chosen === null ? [] : [{ keys: ["Escape"], label: "Esc", text: "Clear what is chosen", run: clear }];
  useKeys([
    { keys: ["v"], label: "v", text: "Move the plane", run: pick("move") },
    { keys: ["b"], label: "b", text: "Choose by a box", run: pick("box") },
    { keys: ["l"], label: "l", text: "Choose by a lasso", run: pick("lasso") },
    { keys: ["+", "="], label: "+", text: "Nearer", run: () => plane()?.viewer.zoom(1.5) },
    { keys: ["-"], label: "−", text: "Farther", run: () => plane()?.viewer.zoom(1 / 1.5) },
    { keys: ["0"], label: "0", text: "All of the plane", run: () => plane()?.viewer.all() },
    { keys: Object.keys(ARROWS), label: "arrows", text: "Move the cursor, on the plane", run: (key, event) => step(plane(), key, event) },
    { keys: ["Enter"], label: "Enter", text: "Choose the patch under the cursor", run: (_, event) => enter(plane(), event) },
    { keys: ["p"], label: "p", text: "Copy as Python", run: () => document.querySelector<HTMLButtonElement>(".space .python")?.click() },
    { keys: ["c"], label: "c", text: "Filters by contrast or by mean", run: () => void (by.value = by.value === "mean" ? "contrast" : "mean") },
    ...clears,
  ]);
}

/** Arrows move the cursor; where another thing has the focus that scrolls, they are let be. */
function step(plane: Controller | null, key: string, event: KeyboardEvent): void {
  const scrolls = (event.target as Element).closest(".side, .report");
  if (scrolls === null) plane?.step(...ARROWS[key]!);
}

/** Enter on a link or a button is that one's. */
function enter(plane: Controller | null, event: KeyboardEvent): void {
  const own = (event.target as Element).closest("a, button");
  if (own !== null) (own as HTMLElement).click();
  else plane?.pick();
}
