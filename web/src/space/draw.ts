// One frame over the tiles: cover, points, outlines, cursor. Costs what is seen, not what there is.
import type { Corner, Outline } from "./regions";
import { type Edges, visible } from "./outlines";
import { drawPoints, pointSide } from "./points";
import type { Scene } from "./scene";
import { type Frame, seen } from "./viewer";

/** What moves with the hand, and is drawn anew for it. */
export interface Hand {
  /** Patch under the cursor, and the one pinned; -1: none. */
  cursor: number;
  pinned: number;
  /** Patches that are pointed at from elsewhere. */
  lit: readonly number[];
  /** What is being drawn: corners of a box (2) or of a lasso. */
  draft: readonly Corner[];
  lasso: boolean;
}

const MOST_LINES = 1_200; // more would be a grey; the dim alone tells enough then
const MOST_DASHED = 600;
const DASHES = [6, 5];

/** `again`: called when more is there to be drawn. */
export function draw(context: CanvasRenderingContext2D, frame: Frame, scene: Scene, hand: Hand, ratio: number, again: () => void): void {
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, context.canvas.width, context.canvas.height);
  if (scene.buckets !== null) drawPoints(context, frame, scene, ratio, again);
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  if (scene.cover !== null) drawCover(context, frame, scene.cover);
  if (scene.buckets === null) drawEnds(context, frame, scene);
  drawMarks(context, frame, scene);
  if (scene.edges !== null) drawEdges(context, frame, scene.edges, cased, MOST_LINES);
  if (scene.outline !== null) cased(context, trace(frame, cornersOf(scene.outline), true));
  drawHand(context, frame, scene, hand);
}

function drawCover(context: CanvasRenderingContext2D, frame: Frame, cover: HTMLCanvasElement): void {
  const [left, top, right, bottom] = seen(frame).map((value, n) => (n < 2 ? Math.floor(value) : Math.ceil(value))) as [number, number, number, number];
  const [x0, y0] = [Math.max(left, 0), Math.max(top, 0)];
  const [x1, y1] = [Math.min(right, cover.width), Math.min(bottom, cover.height)];
  if (x0 >= x1 || y0 >= y1) return;
  context.imageSmoothingEnabled = frame.unit < 1;
  const put = [frame.left + x0 * frame.unit, frame.top + y0 * frame.unit, (x1 - x0) * frame.unit, (y1 - y0) * frame.unit] as const;
  context.drawImage(cover, x0, y0, x1 - x0, y1 - y0, ...put);
}

/** The page where there is no patch; tiles end on whole pixels, up to one beyond the plane. */
function drawEnds(context: CanvasRenderingContext2D, frame: Frame, { plane, dark, cover, holes }: Scene): void {
  const [right, bottom] = [frame.left + plane.columns * frame.unit, frame.top + plane.rows * frame.unit];
  context.fillStyle = dark ? "#151515" : "#f4f4f4";
  for (const cell of cover === null ? holes : []) {
    const [x, y] = [frame.left + (cell % plane.columns) * frame.unit, frame.top + Math.floor(cell / plane.columns) * frame.unit];
    context.fillRect(x, y, frame.unit + 0.5, frame.unit + 0.5);
  }
  context.fillRect(Math.floor(right), frame.top - 1, 2, bottom - frame.top + 3);
  context.fillRect(frame.left - 1, Math.floor(bottom), right - frame.left + 3, 2);
}

type Stroke = (context: CanvasRenderingContext2D, path: Path2D) => void;

/** White in black: readable on any picture. */
function cased(context: CanvasRenderingContext2D, path: Path2D): void {
  context.lineJoin = "miter";
  context.lineCap = "square";
  context.setLineDash([]);
  stroke(context, path, "#000", 6);
  stroke(context, path, "#fff", 2.5);
}

function dashed(context: CanvasRenderingContext2D, path: Path2D): void {
  context.lineCap = "butt";
  context.setLineDash(DASHES);
  stroke(context, path, "rgb(0 0 0 / 60%)", 3.5);
  stroke(context, path, "rgb(255 255 255 / 75%)", 2);
  context.setLineDash([]);
}

function stroke(context: CanvasRenderingContext2D, path: Path2D, colour: string, width: number): void {
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.stroke(path);
}

function drawEdges(context: CanvasRenderingContext2D, frame: Frame, edges: Edges, put: Stroke, most: number): void {
  const path = new Path2D();
  const x = (column: number) => frame.left + column * frame.unit;
  const y = (row: number) => frame.top + row * frame.unit;
  const few = visible(edges, seen(frame), most, (x0, y0, x1, y1) => {
    path.moveTo(x(x0), y(y0));
    path.lineTo(x(x1), y(y1));
  });
  if (few) put(context, path);
}

function cornersOf(outline: Outline): readonly Corner[] {
  if ("corners" in outline) return outline.corners;
  const [left, top, right, bottom] = outline.box;
  return [[left, top], [right, top], [right, bottom], [left, bottom]];
}

function trace(frame: Frame, corners: readonly Corner[], closed: boolean): Path2D {
  const path = new Path2D();
  for (const [x, y] of corners) path.lineTo(frame.left + x * frame.unit, frame.top + y * frame.unit);
  if (closed) path.closePath();
  return path;
}

function drawMarks(context: CanvasRenderingContext2D, frame: Frame, scene: Scene): void {
  for (const { edges, corners } of scene.marks) {
    if (edges !== null) drawEdges(context, frame, edges, dashed, MOST_DASHED);
    else if (corners !== null) dashed(context, trace(frame, corners, true));
  }
}

function drawHand(context: CanvasRenderingContext2D, frame: Frame, scene: Scene, hand: Hand): void {
  for (const patch of hand.lit) square(context, frame, scene, patch, "#ffe14d");
  if (hand.pinned >= 0) square(context, frame, scene, hand.pinned, "#fff");
  if (hand.cursor >= 0) square(context, frame, scene, hand.cursor, "#ffe14d");
  if (hand.draft.length < 2) return;
  const [one, other] = [hand.draft[0]!, hand.draft[hand.draft.length - 1]!];
  const box: Corner[] = [one, [other[0], one[1]], other, [one[0], other[1]]];
  cased(context, trace(frame, hand.lasso ? hand.draft : box, true));
}

/** A frame around a patch's cell, or its point. */
function square(context: CanvasRenderingContext2D, frame: Frame, scene: Scene, patch: number, colour: string): void {
  const path = new Path2D();
  if (scene.buckets !== null) {
    const { x, y } = scene.space.places.fill;
    const reach = pointSide(frame.unit) / 2 + 3;
    path.arc(frame.left + x[patch]! * frame.unit, frame.top + y[patch]! * frame.unit, reach, 0, 7);
  } else {
    const cell = scene.plane.cellOf[patch]!;
    if (cell < 0) return;
    const [column, row] = [cell % scene.plane.columns, Math.floor(cell / scene.plane.columns)];
    const grow = Math.max(0, (10 - frame.unit) / 2); // small cells get a frame that can be seen
    const side = frame.unit + 2 * grow;
    path.rect(frame.left + column * frame.unit - grow, frame.top + row * frame.unit - grow, side, side);
  }
  context.lineJoin = "miter";
  stroke(context, path, "#000", 5);
  stroke(context, path, colour, 2.5);
}
