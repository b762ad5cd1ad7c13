// A patch as the plane shows it, and what leads on from it.
import { useEffect, useRef } from "preact/hooks";
import type { Route } from "../address";
import { usePictures } from "../pictures";
import { to } from "../state";
import type { Space } from "./model";
import { lit } from "./store";
import { drawPatch } from "./tiles";

/** The patch's cell, sharp on dense screens. */
export function PatchPicture({ space, patch, side }: { space: Space; patch: number; side: number }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const pixels = Math.round(side * Math.min(globalThis.devicePixelRatio ?? 1, 2));
  useEffect(() => {
    const context = canvas.current?.getContext("2d");
    if (!context) return;
    context.clearRect(0, 0, pixels, pixels);
    drawPatch(context, space, patch, pixels).catch(() => undefined); // an empty square then, its name stays
  }, [space, patch, pixels]);
  return <canvas ref={canvas} class="tile" width={pixels} height={pixels} aria-hidden="true" />;
}

/** Names of pictures by number, as they come. */
export function useNames(pictures: readonly number[]): (picture: number) => string {
  const rows = usePictures([...new Set(pictures)]).value;
  return (picture) => rows?.get(picture)?.name ?? `picture ${picture}`;
}

/** The picture at the unit that sees a patch. */
export function pictureAt(space: Space, patch: number): Route {
  const layer = { network: space.network.name, layer: space.layer.name };
  const at: [number, number] = [space.row[patch]!, space.column[patch]!];
  return { page: "picture", picture: space.picture[patch]!, layer, at, align: "field", all: false };
}

/** Patches as links to their pictures; pointing at one shows it on the plane. */
export function Patches({ space, patches, side = 48 }: { space: Space; patches: ArrayLike<number>; side?: number }) {
  const name = useNames(Array.from(patches, (patch) => space.picture[patch]!));
  return (
    <ol class="patches">
      {Array.from(patches, (patch) => (
        <li key={patch}>
          <a
            class="bare"
            href={to(pictureAt(space, patch))}
            title={name(space.picture[patch]!)}
            aria-label={`Patch ${patch}: ${name(space.picture[patch]!)}, row ${space.row[patch]}, column ${space.column[patch]}`}
            onMouseEnter={() => (lit.value = [patch])}
            onMouseLeave={() => (lit.value = [])}
            onFocus={() => (lit.value = [patch])}
            onBlur={() => (lit.value = [])}
          >
            <PatchPicture space={space} patch={patch} side={side} />
          </a>
        </li>
      ))}
    </ol>
  );
}
