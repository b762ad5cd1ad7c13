// Polygons and views in addresses: at most 32 corners on eighths of a cell, four letters each; views in nine letters.

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/** Most corners of a lasso. */
export const CORNERS = 32;

export type Point = [number, number];
/** Centre and width of what is seen, in cells. */
export type View = [number, number, number];

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

/** Tenths of a cell that a view may lie before the plane. */
const BEFORE = 10_000;

/** A view on tenths of a cell, three letters a number, and back. Numbers lie in [-1000, 25214). */
export function writeView(view: View): string {
  const letters = (value: number) => {
    const tenths = Math.min(64 ** 3 - 1, Math.max(0, Math.round(value * 10) + BEFORE));
    return `${LETTERS[tenths >> 12]}${LETTERS[(tenths >> 6) & 63]}${LETTERS[tenths & 63]}`;
  };
  return view.map(letters).join("");
}

export function readView(text: string): View {
  const digits = Array.from(text, (letter) => LETTERS.indexOf(letter));
  if (digits.length !== 9 || digits.includes(-1)) throw new Error(`no view: ${text}`);
  const value = (at: number) => ((digits[at] ?? 0) * 4096 + (digits[at + 1] ?? 0) * 64 + (digits[at + 2] ?? 0) - BEFORE) / 10;
  return [value(0), value(3), value(6)];
}
