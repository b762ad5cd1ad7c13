// Pieces of pictures: a part of an image, and over it what lies outside of the input.
import { useEffect, useRef } from "preact/hooks";
import type { Box } from "../geometry";
import { frameOf, inside, outside } from "../geometry";
import { best, coarse, useImage, type Part } from "../images";
import { study } from "../state";

/** A part of an image, as wide as its surroundings and in its own shape. Decoration where there is no label. */
export function Tile({ part, label, shape }: { part: Part | null; label?: string | undefined; shape?: number }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const image = useImage(part?.src ?? null);
  const [width, height] = part ? [Math.max(1, Math.round(part.width)), Math.max(1, Math.round(part.height))] : [1, 1];
  useEffect(() => {
    const context = canvas.current?.getContext("2d");
    if (!context || !part) return;
    context.clearRect(0, 0, width, height);
    if (image instanceof HTMLImageElement)
      context.drawImage(image, part.left, part.top, part.width, part.height, 0, 0, width, height);
  }, [image, part?.src, part?.left, part?.top, width, height]);
  const missing = part === null || image === "missing";
  const name = missing && label !== undefined ? `${label}: not there` : label;
  return (
    <canvas
      ref={canvas}
      class={missing ? "tile missing" : part && coarse(part) ? "tile coarse" : "tile"}
      width={width}
      height={height}
      style={{ aspectRatio: String(shape ?? width / height) }}
      role={name === undefined ? undefined : "img"}
      aria-label={name}
      aria-hidden={name === undefined ? true : undefined}
    />
  );
}

/** Hatching over those parts of a panel of a field that show nothing. */
export function Outside({ field, view, zero }: { field: Box; view: number; zero?: boolean | undefined }) {
  const size = study().views[view];
  if (size === undefined) return null;
  const share = outside(field, size.height, size.width);
  const percent = (value: number) => `${100 * value}%`;
  const kind = zero ? "hatch zero" : "hatch";
  return (
    <>
      {share.top > 0 ? <i class={kind} style={{ inset: `0 0 auto 0`, height: percent(share.top) }} /> : null}
      {share.bottom > 0 ? <i class={kind} style={{ inset: `auto 0 0 0`, height: percent(share.bottom) }} /> : null}
      {share.left > 0 ? <i class={kind} style={{ inset: `0 auto 0 0`, width: percent(share.left) }} /> : null}
      {share.right > 0 ? <i class={kind} style={{ inset: `0 0 0 auto`, width: percent(share.right) }} /> : null}
    </>
  );
}

/** The part of an image of a whole picture that shows a box in it. */
function partOf(whole: Part, seen: Box, size: { height: number; width: number }): Part {
  const [down, across] = [whole.height / size.height, whole.width / size.width];
  return {
    src: whole.src,
    top: whole.top + seen.top * down,
    left: whole.left + seen.left * across,
    height: Math.max(1, (seen.bottom - seen.top) * down),
    width: Math.max(1, (seen.right - seen.left) * across),
  };
}

/** A patch cut from its picture, hatched where it lies outside of it. */
export function Cut(props: { picture: number; view: number; field: Box | null; label?: string | undefined }) {
  const size = study().views[props.view];
  const whole = best(study(), props.view, props.picture);
  if (whole === null || size === undefined || props.field === null)
    return <span class="panel">{<Tile part={whole} label={props.label} shape={1} />}</span>;
  const frame = frameOf(props.field, size.height, size.width);
  const seen = inside(props.field, size.height, size.width);
  const [rows, columns] = [frame.bottom - frame.top, frame.right - frame.left];
  const place = {
    top: `${(100 * (seen.top - frame.top)) / rows}%`,
    left: `${(100 * (seen.left - frame.left)) / columns}%`,
    width: `${(100 * (seen.right - seen.left)) / columns}%`,
  };
  const empty = seen.right <= seen.left || seen.bottom <= seen.top;
  return (
    <span class="panel" style={{ aspectRatio: String(columns / rows) }}>
      {empty ? null : (
        <span class="placed" style={place}>
          <Tile part={partOf(whole, seen, size)} label={props.label} />
        </span>
      )}
      <Outside field={props.field} view={props.view} />
    </span>
  );
}

/** A panel of a filter's picture: its patch (row 0) or its reconstruction (row 1) of a rank. */
export function Panel(props: {
  src: string;
  panel: { height: number; width: number; columns: number };
  rank: number;
  row: 0 | 1;
  field: Box | null;
  view: number;
  label?: string | undefined;
}) {
  const { height, width } = props.panel;
  const part = { src: props.src, left: props.rank * width, top: props.row * height, width, height };
  return (
    <span class={props.row === 1 ? "panel zero" : "panel"}>
      <Tile part={part} label={props.label} />
      {props.field ? <Outside field={props.field} view={props.view} zero={props.row === 1} /> : null}
    </span>
  );
}

/** A picture, all but a box of it dimmed. */
export function Where(props: { picture: number; view: number; field: Box | null; label?: string | undefined }) {
  const size = study().views[props.view];
  const part = best(study(), props.view, props.picture);
  if (size === undefined) return null;
  const seen = props.field && inside(props.field, size.height, size.width);
  const place = seen && {
    top: `${(100 * seen.top) / size.height}%`,
    left: `${(100 * seen.left) / size.width}%`,
    height: `${(100 * (seen.bottom - seen.top)) / size.height}%`,
    width: `${(100 * (seen.right - seen.left)) / size.width}%`,
  };
  return (
    <span class="panel where">
      <Tile part={part} label={props.label} shape={size.width / size.height} />
      {place ? <i class="seen" style={place} /> : null}
    </span>
  );
}
