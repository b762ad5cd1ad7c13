// Where units see, and which layers of two networks see as much. Pixels of the input; rows before columns.
import type { FieldData, LayerData } from "./data";

/** Pixels top <= row < bottom, left <= column < right; may reach outside the picture. */
export interface Box {
  top: number;
  left: number;
  bottom: number;
  right: number;
}

export function box(top: number, left: number, bottom: number, right: number): Box {
  return { top, left, bottom, right };
}

/** The box of four values of an array, from the given place on. */
export function boxAt(values: ArrayLike<number>, place: number): Box {
  const at = (k: number) => values[4 * place + k] ?? 0;
  return box(at(0), at(1), at(2), at(3));
}

/** What a unit sees. */
export function unitBox(field: FieldData, row: number, column: number): Box {
  const edge = (axis: 0 | 1, place: number) =>
    Math.round(field.start[axis] + place * field.stride[axis] - (field.size[axis] - 1) / 2);
  const [top, left] = [edge(0, row), edge(1, column)];
  return box(top, left, top + field.size[0], left + field.size[1]);
}

/** The unit of a layer whose field's centre lies nearest a pixel, or where all see all, that which lies there among them. */
export function unitAt(layer: LayerData, y: number, x: number): [number, number] {
  const place = (axis: 0 | 1, pixel: number, length: number | null) => {
    if (layer.field === null) return 0;
    const stride = layer.field.stride[axis];
    const among = Math.floor((pixel * (length ?? 1)) / layer.field.size[axis]);
    const nearest = stride === 0 ? among : Math.round((pixel - layer.field.start[axis]) / stride);
    return Math.min(Math.max(nearest, 0), Math.max((length ?? 1) - 1, 0));
  };
  return [place(0, y, layer.rows), place(1, x, layer.columns)];
}

/** The pixel at the centre of a unit's field, or where all see all, at its place among them; never outside the picture. */
export function centreOf(layer: LayerData, unit: [number, number], height: number, width: number): [number, number] {
  const place = (axis: 0 | 1, pixels: number, length: number | null) => {
    const { start, stride } = layer.field ?? { start: [0, 0], stride: [0, 0] };
    const among = ((unit[axis] + 0.5) * pixels) / (length ?? 1);
    const centre = stride[axis] === 0 ? among : start[axis] + unit[axis] * stride[axis] + 0.5;
    return Math.min(Math.max(Math.floor(centre), 0), pixels - 1);
  };
  return [place(0, height, layer.rows), place(1, width, layer.columns)];
}

/** The box; along an axis where it is larger than the picture, the picture: what a panel shows. */
export function frameOf(field: Box, height: number, width: number): Box {
  const [top, bottom] = field.bottom - field.top > height ? [0, height] : [field.top, field.bottom];
  const [left, right] = field.right - field.left > width ? [0, width] : [field.left, field.right];
  return box(top, left, bottom, right);
}

/** Columns of pixels that a panel of a field shows; of the whole picture where the field is not known. */
export function frameWidth(field: Box | null, height: number, width: number): number {
  if (field === null) return width;
  const { left, right } = frameOf(field, height, width);
  return right - left;
}

/** The part of a box inside a picture. */
export function inside({ top, left, bottom, right }: Box, height: number, width: number): Box {
  const within = (edge: number, length: number) => Math.min(Math.max(edge, 0), length);
  return box(within(top, height), within(left, width), within(bottom, height), within(right, width));
}

/** Shares of the sides of a field's frame that show nothing, at top, left, bottom, right, in [0, 1]: what lies outside of
 *  the picture, and where the frame is the picture, what lies outside of the field.
 */
export function outside(field: Box, height: number, width: number): Box {
  const [frame, seen] = [frameOf(field, height, width), inside(field, height, width)];
  const [rows, columns] = [frame.bottom - frame.top, frame.right - frame.left];
  const share = (out: number, length: number) => Math.min(Math.max(out, 0) / length, 1);
  return box(
    share(seen.top - frame.top, rows),
    share(seen.left - frame.left, columns),
    share(frame.bottom - seen.bottom, rows),
    share(frame.right - seen.right, columns),
  );
}

/** Side of what a layer sees, for comparisons; null where its positions see boxes of no common size. */
export function reach(layer: LayerData): number | null {
  return layer.field === null ? null : Math.sqrt(layer.field.size[0] * layer.field.size[1]);
}

/** How badly two layers stand under each other: |log| of how their fields' sides differ; 0 where one is unknown. */
export function misfit(one: number | null, other: number | null): number {
  return one === null || other === null || one <= 0 || other <= 0 ? 0 : Math.abs(Math.log(one / other));
}

/** For each of `reaches`, the column of `columns` it stands under: rising, with the least sum of misfits.
 *  Where several are as good, the first layers stand as far left as they can. Needs at least as many columns.
 */
export function alignByField(columns: (number | null)[], reaches: (number | null)[]): number[] {
  const [width, depth] = [columns.length, reaches.length];
  if (depth > width) throw new Error(`${depth} layers do not fit under ${width}`);
  // least[i][j]: least sum of misfits of layers i, i + 1, ... in columns j, j + 1, ...
  const least = Array.from({ length: depth + 1 }, (_, i) => new Float64Array(width + 1).fill(i === depth ? 0 : Infinity));
  const value = (i: number, j: number) => least[i]?.[j] ?? Infinity;
  const here = (i: number, j: number) => misfit(columns[j] ?? null, reaches[i] ?? null) + value(i + 1, j + 1);
  for (let i = depth - 1; i >= 0; i--)
    for (let j = width - 1; j >= 0; j--) (least[i] as Float64Array)[j] = Math.min(value(i, j + 1), here(i, j));
  const places: number[] = [];
  for (let i = 0, j = 0; i < depth; i++, j++) {
    while (here(i, j) > value(i, j) + 1e-12) j++;
    places.push(j);
  }
  return places;
}

/** The same by depth alone: evenly spread from the first column to the last. */
export function alignByDepth(columns: number, layers: number): number[] {
  if (layers > columns) throw new Error(`${layers} layers do not fit under ${columns}`);
  if (layers < 2) return layers === 1 ? [0] : [];
  return Array.from({ length: layers }, (_, i) => Math.round((i * (columns - 1)) / (layers - 1)));
}
