// One plane on the screen: its viewer, what is drawn over it, and the hand that points at it.
import type { Arrangement } from "../address";
import { draw, type Hand } from "./draw";
import { patchAt, placesOn, planeOf, type Space } from "./model";
import type { Corner, Outline } from "./regions";
import { type Scene, sceneOf, type Shown } from "./scene";
import { type Tool, Tools } from "./tools";
import { type Camera, type Frame, placeAt, Viewer } from "./viewer";

/** What a plane tells of what is done to it. */
export interface Doings {
  /** The view has come to rest. */
  rested: (camera: Camera) => void;
  /** A patch is pointed at; -1: none. */
  pointed: (patch: number) => void;
  picked: (patch: number) => void;
  drawn: (outline: Outline) => void;
  framed: (frame: Frame, scene: Scene) => void;
}

export class Controller {
  readonly viewer: Viewer;
  scene: Scene | null = null;
  readonly hand: Hand = { cursor: -1, pinned: -1, lit: [], draft: [], lasso: false };
  private readonly tools: Tools;
  private readonly context: CanvasRenderingContext2D;
  private waiting = 0;

  constructor(
    host: HTMLElement,
    private readonly canvas: HTMLCanvasElement,
    private readonly doings: Doings,
  ) {
    this.context = canvas.getContext("2d") as CanvasRenderingContext2D;
    this.viewer = new Viewer(host, () => this.frame(), () => doings.rested(this.viewer.camera));
    this.tools = new Tools(host, this);
  }

  /** Shows another plane or arrangement, or the same with other members, colours, outlines. */
  show(shown: Shown, camera: Camera): void {
    const before = this.scene;
    this.scene = sceneOf(shown);
    this.viewer.tiles = shown.arrangement !== "points";
    if (before === null || before.plane !== this.scene.plane) this.viewer.show(shown.space, this.scene.plane, camera);
    this.queue();
  }

  set tool(tool: Tool) {
    this.tools.tool = tool;
    this.viewer.drags = tool === "move";
  }

  /** Draws anew before the next frame. */
  queue(): void {
    if (this.waiting === 0) this.waiting = requestAnimationFrame(() => this.frame());
  }

  private frame(): void {
    cancelAnimationFrame(this.waiting);
    this.waiting = 0;
    if (this.scene === null || !this.viewer.open) return;
    const frame = this.viewer.frame;
    const ratio = Math.min(devicePixelRatio, 2);
    const [width, height] = [Math.round(frame.width * ratio), Math.round(frame.height * ratio)];
    if (this.canvas.width !== width || this.canvas.height !== height) [this.canvas.width, this.canvas.height] = [width, height];
    draw(this.context, frame, this.scene, this.hand, ratio, () => this.queue());
    this.doings.framed(frame, this.scene);
  }

  placeAt(x: number, y: number): Corner {
    return placeAt(this.viewer.frame, x, y);
  }

  /** Points at what is at a pixel of the box. */
  point(x: number, y: number): void {
    if (this.scene === null || !this.viewer.open) return;
    const frame = this.viewer.frame;
    const { space, arrangement } = this.scene;
    this.cursor = patchAt(space, arrangement, ...placeAt(frame, x, y), 8 / frame.unit);
  }

  set cursor(patch: number) {
    if (patch === this.hand.cursor) return;
    this.hand.cursor = patch;
    this.doings.pointed(patch);
    this.queue();
  }

  /** Moves the cursor to the next patch in a direction, and the view with it. */
  step(across: number, down: number): void {
    if (this.scene === null) return;
    const { space, arrangement } = this.scene;
    const from = this.hand.cursor >= 0 ? this.hand.cursor : this.hand.pinned;
    const next = from < 0 ? middle(this.scene, this.viewer.camera) : nextTo(space, arrangement, from, across, down);
    if (next < 0) return;
    this.cursor = next;
    const places = placesOn(space, arrangement === "one" ? "one" : "fill");
    const cell = this.scene.plane.cellOf[next]!;
    const columns = this.scene.plane.columns;
    const atCell = arrangement !== "points" && cell >= 0;
    const place = atCell ? [(cell % columns) + 0.5, Math.floor(cell / columns) + 0.5] : [places.x[next]!, places.y[next]!];
    this.viewer.reveal(place[0]!, place[1]!);
  }

  /** Moves the view to a place, as near as it is. */
  centre(x: number, y: number): void {
    this.viewer.moved = true;
    this.viewer.look([x, y, this.viewer.camera[2]]);
  }

  pick(): void {
    if (this.hand.cursor >= 0) this.doings.picked(this.hand.cursor);
  }

  drawn(outline: Outline): void {
    this.doings.drawn(outline);
  }

  destroy(): void {
    cancelAnimationFrame(this.waiting);
    this.tools.destroy();
    this.viewer.destroy();
    [this.canvas.width, this.canvas.height] = [0, 0];
  }
}

function middle(scene: Scene, camera: Camera): number {
  return patchAt(scene.space, scene.arrangement, camera[0], camera[1], camera[2]);
}

/** The next patch in a direction: the next full cell of the row or column, or the nearest point on that side. */
function nextTo(space: Space, arrangement: Arrangement, from: number, across: number, down: number): number {
  if (arrangement === "points") return nextPoint(space, from, across, down);
  const { cells, cellOf, rows, columns } = planeOf(space, arrangement);
  let [row, column] = [Math.floor(cellOf[from]! / columns), cellOf[from]! % columns];
  for (;;) {
    [row, column] = [row + down, column + across];
    if (row < 0 || column < 0 || row >= rows || column >= columns) return -1;
    const patch = cells[row * columns + column]!;
    if (patch >= 0 && patch !== from) return patch;
  }
}

function nextPoint(space: Space, from: number, across: number, down: number): number {
  const { x, y } = space.places.fill;
  let [best, least] = [-1, Infinity];
  for (let patch = 0; patch < space.count; patch++) {
    const [right, below] = [x[patch]! - x[from]!, y[patch]! - y[from]!];
    const [along, beside] = [right * across + below * down, Math.abs(right * down) + Math.abs(below * across)];
    const far = along > 0 && beside <= along ? along + 2 * beside : Infinity;
    if (far < least) [best, least] = [patch, far];
  }
  return best;
}
