// Colours of patches: by a filter's activation, by class, by picture. A colour is 0xAABBGGRR, as ImageData has them.
export type Colours = Uint32Array;

function packed(red: number, green: number, blue: number, alpha: number): number {
  return ((alpha << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}

/** The scale from 0 to 1 over pictures: the dark theme's in both, as the dim is dark in both. */
const SCALE = ["#222222", "#0f5a55", "#3fb8a4", "#d9fff2"].map(channels);

function channels(hex: string): [number, number, number] {
  return [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16)) as [number, number, number];
}

/** Of each level 0 to 255 its colour, between the four of the scale. */
export function ramp(alpha: number): Uint32Array {
  return Uint32Array.from({ length: 256 }, (_, level) => {
    const at = (level / 255) * 3;
    const low = Math.min(Math.floor(at), 2);
    const [from, to] = [SCALE[low]!, SCALE[low + 1]!];
    const mixed = from.map((value, n) => Math.round(value + (to[n]! - value) * (at - low)));
    return packed(mixed[0]!, mixed[1]!, mixed[2]!, alpha);
  });
}

/** Groups whose hues are spread evenly; those of more are a golden angle apart. */
const FEW = 14;

/** The colour of a group of so many: hues apart, in two lightnesses. */
export function hue(number: number, of: number): [number, number, number] {
  const turn = (of <= FEW ? (number * 360) / of : number * 137.508) % 360;
  const light = 0.55 + 0.14 * (number % 2);
  const at = (shift: number) => {
    const k = (shift + turn / 30) % 12;
    return Math.round(255 * (light - 0.75 * Math.min(light, 1 - light) * Math.max(-1, Math.min(k - 3, 9 - k, 1))));
  };
  return [at(0), at(8), at(4)];
}

/** One colour of each of `of` groups; -1, in none, is grey. */
export function byGroup(groups: ArrayLike<number>, of: number, alpha: number): Colours {
  const known = new Map<number, number>([[-1, packed(128, 128, 128, alpha)]]);
  return Uint32Array.from(groups, (group) => {
    let colour = known.get(group);
    if (colour === undefined) {
      colour = packed(...hue(group, of), alpha);
      known.set(group, colour);
    }
    return colour;
  });
}

export function byLevel(levels: Uint8Array, alpha: number): Colours {
  const colours = ramp(alpha);
  return Uint32Array.from(levels, (level) => colours[level]!);
}

export function css([red, green, blue]: [number, number, number]): string {
  return `rgb(${red} ${green} ${blue})`;
}
