// Numbers and names as the pages write them: three figures, thousands with comma, the true minus sign.

const MINUS = "\u2212";

/** An integer, as 4,224. */
export function count(value: number): string {
  return Math.round(value).toLocaleString("en-US").replace("-", MINUS);
}

/** Three figures: 120, 73.6, 1.51, 0.0412, 1,580. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return "none";
  const size = Math.abs(value);
  if (size >= 100 || value === 0) return count(value);
  if (size < 0.0001) return value.toExponential(1).replaceAll("-", MINUS);
  const places = Math.max(0, 2 - Math.floor(Math.log10(size)));
  return value.toFixed(places).replace("-", MINUS);
}

/** A share of [0, 1] in percent: 79.0 %, 4 %. */
export function percent(share: number, places = 0): string {
  return `${(100 * share).toFixed(places).replace("-", MINUS)} %`;
}

/** A value of [-1, 1] with two places. */
export function hundredth(value: number): string {
  return value.toFixed(2).replace("-", MINUS);
}

/** "1 layer", "18 layers". */
export function plural(number: number, one: string, many = `${one}s`): string {
  return `${count(number)} ${number === 1 ? one : many}`;
}

/** "a, b and c". */
export function list(words: string[]): string {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words[words.length - 1]}`;
}

/** "No max-pools." of "no max-pools". */
export function sentence(words: string): string {
  return `${words.charAt(0).toUpperCase()}${words.slice(1)}.`;
}

/** Sizes of maps and fields: 28 squared where both are equal, else 28 x 14. */
export function squared(rows: number, columns: number): string {
  return rows === columns ? `${rows}²` : `${rows}×${columns}`;
}

export function pixels([rows, columns]: [number, number]): string {
  return rows === columns ? `${rows} px` : `${rows} × ${columns} px`;
}
