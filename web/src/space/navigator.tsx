// The whole plane, small, and what is seen of it.
import type { RefObject } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { useImage } from "../images";
import { narrow } from "../state";
import type { Plane } from "./model";
import type { Scene } from "./scene";
import { tileUrl, topLevel } from "./tiles";
import { type Frame, seen } from "./viewer";

const SIDE = 108;

interface NavigatorProps {
  scene: Scene;
  /** The frame around what is seen, moved by `placeFrame` without drawing the page anew. */
  frame: RefObject<HTMLElement | null>;
  first: Frame;
  onLook: (x: number, y: number) => void;
}

function unitOf(plane: Plane): number {
  return SIDE / Math.max(plane.columns, plane.rows);
}

export function Navigator({ scene, frame, first, onLook }: NavigatorProps) {
  const { plane, space } = scene;
  const canvas = useRef<HTMLCanvasElement>(null);
  const unit = unitOf(plane);
  const [width, height] = [Math.round(plane.columns * unit), Math.round(plane.rows * unit)];
  const level = topLevel(plane) - Math.max(0, Math.ceil(Math.log2(Math.max(plane.data.width, plane.data.height) / 256)));
  const image = useImage(tileUrl(space, plane, level, 0, 0));
  useEffect(() => {
    const context = canvas.current?.getContext("2d");
    if (context) paint(context, scene, image instanceof HTMLImageElement ? image : null, unit);
  }, [image, scene]);
  useEffect(() => placeFrame(frame.current, first, plane), [plane, first]);
  if (narrow.value) return null;
  const look = (event: PointerEvent) => {
    if (!(event.buttons & 1)) return;
    const at = (event.currentTarget as HTMLElement).getBoundingClientRect();
    onLook((event.clientX - at.left) / unit, (event.clientY - at.top) / unit);
  };
  return (
    <div class="navigator" style={{ width: `${width}px`, height: `${height}px` }} onPointerDown={look} onPointerMove={look} aria-hidden="true">
      <canvas ref={canvas} width={2 * width} height={2 * height} />
      <i ref={frame} />
    </div>
  );
}

/** Puts the frame around what is seen; without one where all is. */
export function placeFrame(element: HTMLElement | null, frame: Frame, plane: Plane): void {
  if (element === null) return;
  const unit = unitOf(plane);
  const [left, top, right, bottom] = seen(frame);
  const at = (value: number, most: number) => Math.min(Math.max(value, 0), most) * unit;
  const [x, y] = [Math.min(at(left, plane.columns), plane.columns * unit - 4), Math.min(at(top, plane.rows), plane.rows * unit - 4)];
  const whole = left <= 0 && top <= 0 && right >= plane.columns && bottom >= plane.rows;
  element.style.visibility = whole ? "hidden" : "visible";
  element.style.transform = `translate(${x}px, ${y}px)`;
  element.style.width = `${Math.max(at(right, plane.columns) - x, 4)}px`;
  element.style.height = `${Math.max(at(bottom, plane.rows) - y, 4)}px`;
}

/** The plane at a low level, dimmed as the plane is; as points, where points are seen. */
function paint(context: CanvasRenderingContext2D, scene: Scene, image: HTMLImageElement | null, unit: number): void {
  const { width, height } = context.canvas;
  context.clearRect(0, 0, width, height);
  if (scene.buckets !== null) return dots(context, scene, 2 * unit);
  if (image !== null) context.drawImage(image, 0, 0, width, height);
  if (scene.cover !== null) context.drawImage(scene.cover, 0, 0, width, height);
}

function dots(context: CanvasRenderingContext2D, scene: Scene, unit: number): void {
  const { x, y } = scene.space.places.fill;
  const step = Math.ceil(scene.space.count / 4000); // more would cover all of it
  context.fillStyle = scene.dark ? "#adadad" : "#575757";
  for (let patch = 0; patch < scene.space.count; patch += step) context.fillRect(x[patch]! * unit, y[patch]! * unit, 1.5, 1.5);
}
