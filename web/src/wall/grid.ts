// Which rows of a wall of equal squares are drawn: those near what is seen of the page.

export interface Wall {
  across: number;
  /** Side of a square with the gap after it, in pixels. */
  step: number;
  height: number;
  /** First and last but one of the squares drawn. */
  first: number;
  end: number;
}

/** The wall of `count` squares about `side` pixels wide; `top` of it is `above` pixels over the window's upper edge. */
export function wallOf(count: number, width: number, side: number, gap: number, above: number, windowHeight: number): Wall {
  const across = Math.max(1, Math.floor((width + gap) / (side + gap)));
  const step = (width + gap) / across;
  const rows = Math.ceil(count / across);
  const row = (pixel: number) => Math.min(Math.max(Math.floor(pixel / step), 0), rows);
  const [from, to] = [row(above - windowHeight), row(above + 2 * windowHeight) + 1];
  return { across, step, height: Math.max(0, rows * step - gap), first: from * across, end: Math.min(count, to * across) };
}
