// Patches where t-SNE put them. Costs what is seen, not what there is.
import type { Scene } from "./scene";
import { paintPatch } from "./tiles";
import { type Frame, seen } from "./viewer";

const PICTURES = 24; // pixels of a cell from which points are pictures

/** How large a point is, in pixels. */
export function pointSide(unit: number): number {
  return unit >= PICTURES ? Math.round(Math.min(unit * 0.6, 64)) : Math.min(Math.max(Math.round(unit * 0.45), 2), 9);
}

/** Pixels of the canvas that points are written into. */
interface Paper {
  image: ImageData;
  pixels: Uint32Array;
}

let paper: Paper | null = null;

function paperOf(width: number, height: number): Paper {
  if (paper === null || paper.image.width !== width || paper.image.height !== height) {
    const image = new ImageData(width, height);
    paper = { image, pixels: new Uint32Array(image.data.buffer) };
  }
  paper.pixels.fill(0);
  return paper;
}

/** All points in view: as pictures where there is room for them, else as dots. `again`: when pictures have come. */
export function drawPoints(context: CanvasRenderingContext2D, frame: Frame, scene: Scene, ratio: number, again: () => void): void {
  if (frame.unit >= PICTURES) return drawPictures(context, frame, scene, ratio, again);
  drawDots(context, frame, scene, ratio);
}

function drawPictures(context: CanvasRenderingContext2D, frame: Frame, scene: Scene, ratio: number, again: () => void): void {
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  const side = pointSide(frame.unit);
  const { x, y } = scene.space.places.fill;
  for (const selected of scene.within === null ? [1] : [0, 1])
    eachInView(frame, scene, (patch) => {
      if (scene.within !== null && scene.within[patch] !== selected) return;
      const [left, top] = [frame.left + x[patch]! * frame.unit - side / 2, frame.top + y[patch]! * frame.unit - side / 2];
      context.fillStyle = scene.colours ? hex(scene.colours[patch]!) : "#000";
      const rim = scene.colours ? 3 : 1;
      context.fillRect(left - rim, top - rim, side + 2 * rim, side + 2 * rim);
      paintPatch(context, scene.space, patch, [left, top, side], again);
      if (!selected) {
        context.fillStyle = "rgb(21 21 21 / 70%)";
        context.fillRect(left - rim, top - rim, side + 2 * rim, side + 2 * rim);
      }
    });
}

function hex(colour: number): string {
  return `rgb(${colour & 255} ${(colour >> 8) & 255} ${(colour >> 16) & 255})`;
}

/** Written pixel by pixel: a hundred thousand shapes would take longer than a frame. */
function drawDots(context: CanvasRenderingContext2D, frame: Frame, scene: Scene, ratio: number): void {
  const page = paperOf(context.canvas.width, context.canvas.height);
  const dots = { page, side: Math.round(pointSide(frame.unit) * ratio), ratio };
  if (scene.within !== null) splat(dots, frame, scene, 0);
  splat(dots, frame, scene, 1);
  context.putImageData(page.image, 0, 0);
}

/** The points that are selected (1), or those that are not (0). */
function splat(dots: { page: Paper; side: number; ratio: number }, frame: Frame, scene: Scene, selected: number): void {
  const { page, side, ratio } = dots;
  const { width, height } = page.image;
  const { x, y } = scene.space.places.fill;
  const [plain, dim] = scene.dark ? [0xffececec, 0xff4d4d4d] : [0xff191919, 0xffbdbdbd];
  eachInView(frame, scene, (patch) => {
    if (scene.within !== null && scene.within[patch] !== selected) return;
    const colour = selected ? (scene.colours?.[patch] ?? plain) | 0xff000000 : dim;
    const left = Math.round((frame.left + x[patch]! * frame.unit) * ratio - side / 2);
    const top = Math.round((frame.top + y[patch]! * frame.unit) * ratio - side / 2);
    if (left < 0 || top < 0 || left + side > width || top + side > height) return;
    for (let row = top; row < top + side; row++) page.pixels.fill(colour, row * width + left, row * width + left + side);
  });
}

function eachInView(frame: Frame, scene: Scene, each: (patch: number) => void): void {
  const { starts, patches } = scene.buckets!;
  const { rows, columns } = scene.plane;
  const [left, top, right, bottom] = seen(frame).map(Math.floor) as [number, number, number, number];
  for (let row = Math.max(top, 0); row <= Math.min(bottom, rows - 1); row++) {
    const line = row * columns;
    const first = starts[line + Math.min(Math.max(left, 0), columns)]!;
    const last = starts[line + Math.min(Math.max(right + 1, 0), columns)]!;
    for (let at = first; at < last; at++) each(patches[at]!);
  }
}
