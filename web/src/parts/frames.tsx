// Fields of units drawn over a picture, in pixels of the input.
import type { Box } from "../geometry";

export interface Frame {
  box: Box;
  /** White cased in black; others are thin. */
  strong?: boolean;
}

/** Frames over a picture of this size, and a cross at a pixel. */
export function FieldFrames(props: { height: number; width: number; frames: Frame[]; cross?: [number, number] | null }) {
  const { height, width, frames, cross } = props;
  const rect = ({ box, strong }: Frame, at: number) => {
    const place = { x: box.left, y: box.top, width: box.right - box.left, height: box.bottom - box.top };
    return (
      <g key={at} class={strong ? "strong" : "thin"}>
        <rect {...place} class="case" />
        <rect {...place} />
      </g>
    );
  };
  const ordered = [...frames].sort((a, b) => Number(a.strong ?? false) - Number(b.strong ?? false));
  return (
    <svg class="frames" viewBox={`0 0 ${width} ${height}`} preserveAspectRatio="none" aria-hidden="true">
      {ordered.map(rect)}
      {cross ? <Cross y={cross[0] + 0.5} x={cross[1] + 0.5} reach={Math.max(height, width) / 40} /> : null}
    </svg>
  );
}

function Cross({ y, x, reach }: { y: number; x: number; reach: number }) {
  const path = `M${x - reach} ${y}H${x + reach}M${x} ${y - reach}V${y + reach}`;
  return (
    <g class="cross">
      <path d={path} class="case" />
      <path d={path} />
    </g>
  );
}
