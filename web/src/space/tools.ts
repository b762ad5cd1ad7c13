// The pointer over a plane: hovering, picking, and drawing boxes and lassos. Moving and zooming are the viewer's.
import type { Controller } from "./controller";
import { boxOf, simplify, stepsOf } from "./polygons";
import type { Corner, Outline } from "./regions";

export type Tool = "move" | "box" | "lasso";

const CLICK = 5; // pixels that a click may move
const TENTHS = 10; // steps of a box's sides, on planes of points

export class Tools {
  tool: Tool = "move";
  private down: { x: number; y: number; id: number; touch: boolean; moved: boolean } | null = null;
  private readonly ending = new AbortController();

  constructor(
    private readonly host: HTMLElement,
    private readonly plane: Controller,
  ) {
    const on = (kind: string, act: (event: PointerEvent) => void) =>
      host.addEventListener(kind, act as EventListener, { capture: true, signal: this.ending.signal });
    on("pointerdown", (event) => this.press(event));
    on("pointermove", (event) => this.move(event));
    on("pointerup", (event) => this.release(event));
    on("pointercancel", () => this.stop());
    on("wheel", () => {
      this.plane.cursor = -1;
      this.plane.viewer.moved = true;
    });
    on("pointerleave", (event) => event.target === host && event.pointerType === "mouse" && this.leave());
  }

  destroy(): void {
    this.ending.abort();
  }

  /** A second finger. */
  private pinch(): void {
    this.plane.viewer.moved = true;
    this.stop();
  }

  private at(event: PointerEvent): [number, number] {
    const box = this.host.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  private press(event: PointerEvent): void {
    if (event.button !== 0) return;
    if (this.down !== null) return this.pinch();
    this.host.focus({ preventScroll: true });
    const [x, y] = this.at(event);
    this.down = { x, y, id: event.pointerId, touch: event.pointerType === "touch", moved: false };
  }

  private move(event: PointerEvent): void {
    const [x, y] = this.at(event);
    if (this.down === null) {
      if (event.pointerType !== "touch") this.plane.point(x, y);
      return;
    }
    if (event.pointerId !== this.down.id) return;
    this.down.moved ||= Math.hypot(x - this.down.x, y - this.down.y) > CLICK;
    if (!this.down.moved) return;
    this.plane.cursor = -1;
    if (this.tool === "move") this.plane.viewer.moved = true;
    else this.extend(x, y);
  }

  private extend(x: number, y: number): void {
    const { hand } = this.plane;
    const place = this.plane.placeAt(x, y);
    const first = hand.draft[0] ?? this.plane.placeAt(this.down!.x, this.down!.y);
    hand.lasso = this.tool === "lasso";
    hand.draft = hand.lasso ? [...(hand.draft.length ? hand.draft : [first]), place] : [first, place];
    this.plane.queue();
  }

  private release(event: PointerEvent): void {
    const { down } = this;
    if (down === null || down.id !== event.pointerId) return;
    const draft = this.plane.hand.draft;
    this.stop();
    if (down.moved) return this.finish(draft);
    const before = this.plane.hand.cursor;
    this.plane.point(down.x, down.y);
    if (!down.touch || before === this.plane.hand.cursor) this.plane.pick();
  }

  /** What was drawn, on steps that an address has. */
  private finish(draft: readonly Corner[]): void {
    const { scene } = this.plane;
    if (scene === null || draft.length < 2) return;
    const { rows, columns } = scene.plane;
    const box = this.tool === "box" && boxOf(draft[0]!, draft[draft.length - 1]!, scene.arrangement === "points" ? TENTHS : 1);
    const corners = this.tool === "lasso" ? simplify(draft, stepsOf(rows, columns)) : [];
    const outline: Outline | null = box ? { box } : corners.length ? { corners } : null;
    if (outline !== null) this.plane.drawn(outline);
  }

  private stop(): void {
    this.down = null;
    this.plane.hand.draft = [];
    this.plane.queue();
  }

  private leave(): void {
    if (this.down === null) this.plane.cursor = -1;
  }
}
