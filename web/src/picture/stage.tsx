// The picture beside what the chosen layer of each network keeps of it, with the fields of units over all.
import type { Lane } from "../depth";
import type { LayerData, NetworkData } from "../data";
import { brief } from "../brief";
import { best, reconstruction } from "../images";
import { FieldFrames, type Frame } from "../parts/frames";
import { fieldOf } from "../parts/layers";
import { Lost } from "../parts/lost";
import { Scale } from "../parts/scale";
import { Tile, Where } from "../parts/tile";
import { colour, study } from "../state";
import { percent, plural } from "../words";
import { fieldAt, layerUnder, pixelIn, type Scene } from "./scene";
import { useWhite } from "./white";

export interface StageProps {
  scene: Scene;
  name: string;
  /** Row and column under the cursor, else the pinned ones; in the chosen network's input. */
  pixel: [number, number];
  onHover: (pixel: [number, number] | null) => void;
  onPin: (pixel: [number, number]) => void;
}

/** Turns places of an element into pixels of the chosen network's input. */
function pointing({ scene, onHover, onPin }: StageProps) {
  const pixel = (event: MouseEvent): [number, number] => {
    const { width, height } = (event.currentTarget as HTMLElement).getBoundingClientRect();
    const place = (offset: number, length: number, size: number) => Math.min(size - 1, Math.max(0, Math.floor((offset / length) * size)));
    return [place(event.offsetY, height, scene.height), place(event.offsetX, width, scene.width)];
  };
  return {
    onMouseMove: (event: MouseEvent) => onHover(pixel(event)),
    onMouseLeave: () => onHover(null),
    onClick: (event: MouseEvent) => event.detail > 0 && onPin(pixel(event)),
  };
}

function Input(props: StageProps) {
  const { scene, pixel, name } = props;
  const { network, height, width } = scene;
  const part = best(study(), network.view, scene.picture);
  const layers = new Set([...scene.lane.entries.map((entry) => entry.layer), scene.layer]);
  const frames = [...layers].flatMap((layer): Frame[] => {
    const box = fieldAt(layer, pixel);
    return box === null ? [] : [{ box, strong: layer === scene.layer }];
  });
  return (
    <figure>
      <button type="button" class="see" aria-label={`${name}; a click pins the unit there`} {...pointing(props)}>
        <Tile part={part} shape={width / height} />
        <FieldFrames height={height} width={width} frames={frames} cross={pixel} />
      </button>
      <figcaption>
        <h2>Input</h2>
        <p class="small soft">{`${height} × ${width} px; frames: one unit of every ${network.title} layer`}</p>
      </figcaption>
    </figure>
  );
}

/** Size of a layer's maps, what a unit sees, share of zeros. */
export function layerLine(layer: LayerData): string {
  const size = [layer.channels, layer.rows, layer.columns].filter((length) => length !== null).join(" × ");
  const sees = layer.field === null ? fieldOf(layer) : `sees ${fieldOf(layer)}`;
  const zeros = layer.sparsity === null ? [] : [`${percent(layer.sparsity)} zeros`];
  return [size, sees, ...zeros].filter(Boolean).join(", ");
}

function Kept(props: StageProps & { lane: Lane; layer: LayerData }) {
  const { scene, lane, layer } = props;
  const { network } = lane;
  const white = useWhite(network, scene.picture, layer.name);
  const size = study().views[network.view];
  if (size === undefined) return null;
  const box = fieldAt(layer, pixelIn(scene, network, props.pixel));
  const there = scene.large && layer.reconstructions;
  const known = best(study(), network.view, scene.picture) !== null;
  const part = there ? { src: reconstruction(network, layer, scene.picture), left: 0, top: 0, width: size.width, height: size.height } : null;
  return (
    <figure>
      <button type="button" class={there ? "see zero" : "see none"} aria-label={`What ${network.title} ${layer.name} ${there ? "keeps" : "sees"}; a click pins the unit there`} {...pointing(props)}>
        {part ? <Tile part={part} shape={size.width / size.height} /> : known ? <Where picture={scene.picture} view={network.view} field={box} /> : <span class="blank" style={{ aspectRatio: String(size.width / size.height) }} />}
        <FieldFrames height={size.height} width={size.width} frames={box === null ? [] : [{ box, strong: true }]} />
      </button>
      <figcaption>
        <div class="named">
          <h2 class={colour(network.name)} title={`${network.title} ${layer.name}`}>{`${network.title} ${layer.name}`}</h2>
          {there && white !== null ? <Scale white={white} /> : null}
        </div>
        <p class="small soft">{layerLine(layer)}</p>
        {there ? <Lost networks={[network]} /> : null}
        {there ? null : <p class="small soft">{known ? `${undrawn(layer)}: this is what the unit sees.` : `${undrawn(layer)}.`}</p>}
      </figcaption>
    </figure>
  );
}

/** Why no reconstruction stands there. */
function undrawn(layer: LayerData): string {
  const some = layer.reconstructions || study().pictures.chosen.length === 0;
  return some ? "No reconstruction of this picture is drawn" : `There are no reconstructions from ${layer.name}`;
}

export function Stage(props: StageProps) {
  const { scene } = props;
  return (
    <div class="stage">
      <Input {...props} />
      {scene.depth.lanes.map((lane) => {
        const layer = layerUnder(scene, lane);
        return layer ? <Kept key={lane.network.name} {...props} lane={lane} layer={layer} /> : null;
      })}
    </div>
  );
}

/** All layers of all networks at once, as the paper prints them. */
export function Everything({ scene, href }: { scene: Scene; href: (network: NetworkData, layer: LayerData) => string }) {
  return (
    <>
      {scene.depth.lanes.map(({ network }) => {
        const drawn = network.layers.filter((layer) => scene.large && layer.reconstructions);
        const others = network.layers.length - drawn.length;
        return (
          <section key={network.name} class="everything">
            <h2 class={colour(network.name)}>{network.title}</h2>
            {drawn.length === 0 ? null : <Lost networks={[network]} />}
            <ul>
              {drawn.map((layer) => (
                <li key={layer.name}>
                  <a href={href(network, layer)} title={layer.name} aria-current={layer === scene.layer ? "true" : undefined}>
                    <img loading="lazy" decoding="async" alt="" src={reconstruction(network, layer, scene.picture)} />
                    <span class="cut-off">
                      <b>{brief(network, layer.name)}</b> <span class="small soft">{fieldOf(layer)}</span>
                    </span>
                  </a>
                </li>
              ))}
            </ul>
            {others === 0 ? null : <p class="small soft">{`Of ${plural(others, drawn.length === 0 ? "layer" : "other layer")} no reconstruction is there.`}</p>}
          </section>
        );
      })}
    </>
  );
}
