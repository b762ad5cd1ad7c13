// Colours of a heat map: between the four of the theme, numbers in whichever of black and white is read better.
import { theme } from "../state";

type Colour = [number, number, number];

const STOPS: Record<"dark" | "light", Colour[]> = {
  dark: [[34, 34, 34], [15, 90, 85], [63, 184, 164], [217, 255, 242]],
  light: [[241, 241, 241], [169, 220, 207], [37, 137, 122], [6, 51, 47]],
};

export function shade(value: number): Colour {
  const stops = STOPS[theme.value];
  const at = Math.min(Math.max(value, 0), 1) * 3;
  const low = Math.min(Math.floor(at), 2);
  return stops[low]!.map((from, n) => Math.round(from + (stops[low + 1]![n]! - from) * (at - low))) as Colour;
}

/** Relative luminance (WCAG). */
export function luminance(colour: Colour): number {
  const [red, green, blue] = colour.map((part) => {
    const share = part / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  }) as Colour;
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

/** Black or white, whichever has more contrast. */
export function ink(colour: Colour): "#000" | "#fff" {
  const light = luminance(colour);
  return (light + 0.05) / 0.05 >= 1.05 / (light + 0.05) ? "#000" : "#fff";
}

export function css([red, green, blue]: Colour): string {
  return `rgb(${red} ${green} ${blue})`;
}
