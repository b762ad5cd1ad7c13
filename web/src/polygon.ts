// Polygons in addresses: at most 32 corners on eighths of a cell, four letters each.

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/** Most corners of a lasso. */
export const CORNERS = 32;

export type Point = [number, number];

/** A polygon on eighths of a cell, four letters a corner, and back. Coordinates lie in [0, 512). */
export function writePolygon(corners: Point[]): string {
  const letters = (value: number) => {
    const eighths = Math.min(4095, Math.max(0, Math.round(value * 8)));
    return `${LETTERS[eighths >> 6]}${LETTERS[eighths & 63]}`;
  };
  return corners.map(([x, y]) => letters(x) + letters(y)).join("");
}

export function readPolygon(text: string): Point[] {
  const value = (at: number) => {
    const [high, low] = [LETTERS.indexOf(text.charAt(at)), LETTERS.indexOf(text.charAt(at + 1))];
    if (high < 0 || low < 0) throw new Error(`no polygon: ${text}`);
    return (high * 64 + low) / 8;
  };
  if (text.length % 4 !== 0 || text.length < 12 || text.length > 4 * CORNERS) throw new Error(`no polygon: ${text}`);
  return Array.from({ length: text.length / 4 }, (_, at): Point => [value(4 * at), value(4 * at + 2)]);
}
