// Pictures beside the pages: where they lie, and loading them once.
import { useEffect, useState } from "preact/hooks";
import type { LayerData, NetworkData, StudyData } from "./data";
import { url } from "./shards";

/** A rectangle of an image, in its pixels. */
export interface Part {
  src: string;
  left: number;
  top: number;
  width: number;
  height: number;
}

/** Most images that are kept decoded; those looked at longest ago go first. */
const KEPT = 600;
const images = new Map<string, Promise<HTMLImageElement>>();

export function fetchImage(src: string): Promise<HTMLImageElement> {
  const known = images.get(src);
  images.delete(src);
  const promise = known ?? decode(src);
  images.set(src, promise);
  for (const oldest of images.keys()) {
    if (images.size <= KEPT) break;
    images.delete(oldest);
  }
  return promise;
}

function decode(src: string): Promise<HTMLImageElement> {
  const image = new Image();
  image.decoding = "async";
  image.src = src;
  const promise = image.decode().then(() => image);
  promise.catch(() => images.delete(src));
  return promise;
}

/** An image once it is there; null until then, "missing" if it is not. */
export function useImage(src: string | null): HTMLImageElement | "missing" | null {
  const [state, setState] = useState<{ src: string | null; image: HTMLImageElement | "missing" | null }>({ src, image: null });
  useEffect(() => {
    let wanted = true;
    const keep = (image: HTMLImageElement | "missing") => wanted && setState({ src, image });
    if (src !== null) fetchImage(src).then(keep, () => keep("missing"));
    return () => {
      wanted = false;
    };
  }, [src]);
  return state.src === src ? state.image : null;
}

/** Where a picture is small, as a view has it; null: there are no small pictures. */
export function thumb(study: StudyData, view: number, picture: number): Part | null {
  const sheets = study.pictures.thumbs;
  if (sheets === null || picture < 0 || picture >= study.pictures.count) return null;
  const cells = sheets.columns * sheets.rows;
  const cell = picture % cells;
  return {
    src: url(`pictures/thumbs/${view}/${Math.floor(picture / cells)}.jpg`),
    left: (cell % sheets.columns) * sheets.side,
    top: Math.floor(cell / sheets.columns) * sheets.side,
    width: sheets.side,
    height: sheets.side,
  };
}

/** A small picture without the grey beside it: inputs that are not square stand in the middle of a square. */
export function trimmed(part: Part, view: { height: number; width: number }): Part {
  const long = Math.max(view.height, view.width);
  const [height, width] = [(part.height * view.height) / long, (part.width * view.width) / long];
  return { ...part, top: part.top + (part.height - height) / 2, left: part.left + (part.width - width) / 2, height, width };
}

export function isChosen(study: StudyData, picture: number): boolean {
  return study.pictures.chosen.includes(picture);
}

/** Best there is of a picture as a view has it: large where chosen, else small; null: nothing. */
export function best(study: StudyData, view: number, picture: number): Part | null {
  const size = study.views[view];
  if (size === undefined) return null;
  if (isChosen(study, picture))
    return { src: url(`pictures/large/${view}/${picture}.jpg`), left: 0, top: 0, width: size.width, height: size.height };
  const small = thumb(study, view, picture);
  return small && trimmed(small, size);
}

/** A layer's square in the strip of a chosen picture; null: it has none. */
export function square(study: StudyData, network: NetworkData, layer: string, picture: number): Part | null {
  const strip = network.strip;
  const place = strip?.layers.indexOf(layer) ?? -1;
  if (strip === null || place < 0 || !isChosen(study, picture)) return null;
  const columns = strip.columns;
  return {
    src: url(`${network.folder}/strips/${picture}.jpg`),
    left: (place % columns) * strip.side,
    top: Math.floor(place / columns) * strip.side,
    width: strip.side,
    height: strip.side,
  };
}

export function reconstruction(network: NetworkData, layer: LayerData, picture: number): string {
  return url(`${network.folder}/reconstructions/${layer.folder}/${picture}.jpg`);
}

/** Whether a part is so small that its pixels should be seen. */
export function coarse(part: { width: number; height: number }): boolean {
  return Math.max(part.width, part.height) <= 32;
}
