// Outlines along cells: the edges between cells that are in and cells that are not, joined to straight lines.

/** Lines of a plane, in cells: horizontal ones (row, from, to) by row, vertical ones (column, from, to) by column. */
export interface Edges {
  across: Int32Array;
  down: Int32Array;
  /** Where the lines of each row, each column begin; one more than rows and columns. */
  acrossAt: Int32Array;
  downAt: Int32Array;
}

/** The outline of the cells for which `within` is not 0. */
export function edgesOf(within: Uint8Array, rows: number, columns: number): Edges {
  const at = (row: number, column: number) =>
    row >= 0 && column >= 0 && row < rows && column < columns ? within[row * columns + column]! : 0;
  const across = lines(rows, columns, (row, column) => at(row - 1, column) !== at(row, column));
  const down = lines(columns, rows, (column, row) => at(row, column - 1) !== at(row, column));
  return { across: across.found, acrossAt: across.starts, down: down.found, downAt: down.starts };
}

function lines(count: number, length: number, edge: (line: number, at: number) => boolean): { found: Int32Array; starts: Int32Array } {
  const found: number[] = [];
  const starts = new Int32Array(count + 2);
  for (let line = 0; line <= count; line++) {
    starts[line] = found.length / 2;
    for (let at = 0; at < length; at++) {
      if (!edge(line, at)) continue;
      const from = at;
      while (at + 1 < length && edge(line, at + 1)) at++;
      found.push(from, at + 1);
    }
  }
  starts[count + 1] = found.length / 2;
  return { found: Int32Array.from(found), starts };
}

/** Calls `draw` (x0, y0, x1, y1) for each line that a part of the plane shows; stops after `most`. */
export function visible(
  edges: Edges,
  [left, top, right, bottom]: readonly [number, number, number, number],
  most: number,
  draw: (x0: number, y0: number, x1: number, y1: number) => void,
): boolean {
  let drawn = 0;
  const each = (found: Int32Array, starts: Int32Array, span: [number, number], along: [number, number], put: typeof draw) => {
    const last = Math.min(Math.ceil(span[1]), starts.length - 2);
    for (let line = Math.max(Math.floor(span[0]), 0); line <= last && drawn <= most; line++)
      for (let n = starts[line]!; n < starts[line + 1]!; n++) {
        const [from, to] = [found[2 * n]!, found[2 * n + 1]!];
        if (to < along[0] || from > along[1]) continue;
        if (++drawn > most) return;
        put(from, line, to, line);
      }
  };
  each(edges.across, edges.acrossAt, [top, bottom], [left, right], draw);
  each(edges.down, edges.downAt, [left, right], [top, bottom], (from, line, to) => draw(line, from, line, to));
  return drawn <= most;
}
