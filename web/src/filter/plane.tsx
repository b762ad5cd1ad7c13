// Where a filter fires on the plane of its layer: a dot for each patch, as large and strong as its activation.
import { useEffect, useRef, useState } from "preact/hooks";
import type { LayerData, NetworkData, Packed, SpaceShard } from "../data";
import { load, unpack, useLoaded } from "../shards";
import { colour, go, theme, to } from "../state";
import { useWidth } from "../parts/width";
import { usePictures } from "../pictures";
import { count, figure, hundredth } from "../words";

interface Dots {
  points: ArrayLike<number>;
  /** 0 to 255 of each patch. */
  levels: ArrayLike<number>;
  /** Left, top, width and height of the points. */
  extent: [number, number, number, number];
}

function extentOf(points: ArrayLike<number>): [number, number, number, number] {
  let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
  for (let at = 0; at < points.length; at += 2) {
    const [x, y] = [points[at] as number, points[at + 1] as number];
    [left, right] = [Math.min(left, x), Math.max(right, x)];
    [top, bottom] = [Math.min(top, y), Math.max(bottom, y)];
  }
  return [left, top, Math.max(right - left, 1e-6), Math.max(bottom - top, 1e-6)];
}

async function dotsOf(network: NetworkData, layer: LayerData, space: SpaceShard, channel: number): Promise<Dots> {
  const of = space.activations.columns;
  const shard = await load<Packed>(`${network.folder}/layers/${layer.folder}/columns/${Math.floor(channel / of)}`);
  const [points, all, order] = await Promise.all([unpack(space.points), unpack(shard), unpack(space.activations.order)]);
  const start = (channel % of) * space.patches;
  return { points, levels: Uint8Array.from(order, (place) => all[start + place] as number), extent: extentOf(points) };
}

/** Where points stand in a square of so many pixels, and the nearest to a place of it. */
class Placed {
  private side: number;

  constructor(
    private dots: Dots,
    private width: number,
    private height: number,
  ) {
    this.side = Math.min((width - 16) / dots.extent[2], (height - 16) / dots.extent[3]);
  }

  at(patch: number): [number, number] {
    const [left, top, width, height] = this.dots.extent;
    const place = (value: number, from: number, length: number, whole: number) => whole / 2 + (value - from - length / 2) * this.side;
    const { points } = this.dots;
    return [place(points[2 * patch] as number, left, width, this.width), place(points[2 * patch + 1] as number, top, height, this.height)];
  }

  /** The patch nearest to one on a side of it: along the step, no farther beside than ahead; null: none is there. */
  next(from: number, [across, down]: readonly [number, number]): number | null {
    const [x, y] = this.at(from);
    let [best, least] = [-1, Infinity];
    for (let patch = 0; patch < this.dots.levels.length; patch++) {
      const [px, py] = this.at(patch);
      const ahead = (px - x) * across + (py - y) * down;
      const beside = Math.abs((px - x) * down) + Math.abs((py - y) * across);
      if (ahead > 0 && beside <= ahead && ahead + 2 * beside < least) [best, least] = [patch, ahead + 2 * beside];
    }
    return best < 0 ? null : best;
  }

  nearest(x: number, y: number): number | null {
    let [best, least] = [-1, 12 ** 2];
    for (let patch = 0; patch < this.dots.levels.length; patch++) {
      const [px, py] = this.at(patch);
      const far = (px - x) ** 2 + (py - y) ** 2;
      if (far < least) [best, least] = [patch, far];
    }
    return best < 0 ? null : best;
  }
}

function draw(canvas: HTMLCanvasElement, dots: Dots, width: number, height: number, lit: number | null): void {
  const context = canvas.getContext("2d");
  if (context === null) return;
  const style = getComputedStyle(canvas);
  const ratio = devicePixelRatio;
  [canvas.width, canvas.height] = [width * ratio, height * ratio];
  context.scale(ratio, ratio);
  const placed = new Placed(dots, width, height);
  const dot = (patch: number, radius: number) => {
    const [x, y] = placed.at(patch);
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.fill();
  };
  const order = Array.from({ length: dots.levels.length }, (_, patch) => patch).sort((a, b) => (dots.levels[a] as number) - (dots.levels[b] as number));
  for (const patch of order) {
    const share = (dots.levels[patch] as number) / 255;
    context.fillStyle = share === 0 ? style.getPropertyValue("--edge") : style.color;
    context.globalAlpha = share === 0 ? 0.5 : 0.25 + 0.75 * share;
    dot(patch, share === 0 ? 1 : 1.5 + 4 * share);
  }
  if (lit === null) return;
  context.globalAlpha = 1;
  context.fillStyle = style.getPropertyValue("--cursor");
  dot(lit, 5);
}

const STEPS: Record<string, readonly [number, number]> = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function strongest({ levels }: Dots): number {
  let best = 0;
  for (let patch = 1; patch < levels.length; patch++) if ((levels[patch] as number) > (levels[best] as number)) best = patch;
  return best;
}

interface PlaneProps {
  network: NetworkData;
  layer: LayerData;
  space: SpaceShard;
  channel: number;
}

/** The patch under the cursor: whose it is, and how much it excites the filter. */
function Under({ space, channel, dots, patch }: PlaneProps & { dots: Dots; patch: number | null }) {
  const pictures = useLoaded("pictures", () => unpack(space.picture)).value;
  const picture = patch === null ? undefined : pictures?.[patch];
  const name = usePictures(picture === undefined ? [] : [picture]).value?.get(picture ?? -1)?.name;
  const value = patch === null ? 0 : (dots.levels[patch] as number) * (space.activations.scale[channel] ?? 0);
  return (
    <p class="small under cut-off" aria-live="polite">
      {patch === null ? "" : `Patch ${patch}${name === undefined ? "" : ` of ${name}`}: ${figure(value)}`}
    </p>
  );
}

function Words({ network, layer, space, channel, error }: PlaneProps & { error: string | undefined }) {
  const region = space.regions.find((one) => one.filters.some((filter) => filter.channel === channel));
  const contrast = region?.filters.find((filter) => filter.channel === channel)?.contrast;
  return (
    <p class="small soft">
      {error ?? `${count(space.patches)} patches; size and strength of a dot: activation.`}
      {region && contrast !== undefined ? (
        <>
          {` Contrast ${hundredth(contrast)} in `}
          <a href={to(spaceRoute(network, layer, { region: region.number }))}>{`region ${region.number}`}</a>.
        </>
      ) : null}
    </p>
  );
}

export function Plane(props: PlaneProps) {
  const { network, layer, space, channel } = props;
  const [element, width] = useWidth<HTMLDivElement>();
  const canvas = useRef<HTMLCanvasElement>(null);
  const [lit, setLit] = useState<number | null>(null);
  const height = Math.min(Math.round(width * 0.72), 340);
  const { value, error } = useLoaded(`${network.folder} ${layer.folder} ${channel}`, () => dotsOf(network, layer, space, channel));
  useEffect(() => {
    if (canvas.current && value && width > 0) draw(canvas.current, value, width, height, lit);
  }, [value, width, height, lit, theme.value]);
  const press = (event: KeyboardEvent) => {
    const step = STEPS[event.key];
    if (!value || (step === undefined && event.key !== "Enter" && event.key !== "Home")) return;
    event.preventDefault();
    if (event.key === "Enter") return open(lit);
    const from = lit ?? strongest(value);
    setLit(step === undefined ? strongest(value) : lit === null ? from : (new Placed(value, width, height).next(from, step) ?? from));
  };
  const near = (event: MouseEvent) => (value ? new Placed(value, width, height).nearest(event.offsetX, event.offsetY) : null);
  const open = (patch: number | null) => patch !== null && go(spaceRoute(network, layer, { patch }));
  return (
    <>
      <div class="heading">
        <h2 id="plane-title">{`On the plane of ${layer.name}`}</h2>
        <a class="small" href={to(spaceRoute(network, layer, { filter: channel }))}>
          open
        </a>
      </div>
      <div ref={element}>
        <canvas
          ref={canvas}
          class={`dots ${colour(network.name)}`}
          style={{ height: `${height}px` }}
          tabIndex={0}
          role="application"
          aria-label={`Plane of ${count(space.patches)} patches; size and strength of a dot: activation of filter ${channel}. Arrows go from dot to dot, Home to the strongest, Enter opens one`}
          onKeyDown={press}
          onBlur={() => setLit(null)}
          onMouseMove={(event) => setLit(near(event))}
          onMouseLeave={() => setLit(null)}
          onClick={(event) => open(near(event))}
        />
      </div>
      {value ? <Under {...props} dots={value} patch={lit} /> : null}
      <Words {...props} error={error} />
    </>
  );
}

export function spaceRoute(network: NetworkData, layer: LayerData, chosen: { patch: number } | { filter: number } | { region: number }) {
  return { page: "space", network: network.name, layer: layer.name, arrangement: null, view: null, chosen } as const;
}
