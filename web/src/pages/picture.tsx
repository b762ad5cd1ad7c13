// One picture: what every layer keeps of it, what a unit sees of it, and what the networks answer.
import { useEffect, useRef, useState } from "preact/hooks";
import type { PictureRoute } from "../address";
import { pictureCommand } from "../commands";
import type { LayerData, NetworkData } from "../data";
import type { Lane } from "../depth";
import { unitAt } from "../geometry";
import { useKeys } from "../keys";
import { Button, Segmented } from "../parts/controls";
import { Crumbs } from "../parts/crumbs";
import { LaneRow } from "../parts/layers";
import { Note } from "../parts/note";
import { Aside } from "../picture/aside";
import { layerUnder, sceneOf, type Scene } from "../picture/scene";
import { Everything, Stage } from "../picture/stage";
import { beside, className, usePictures, type PictureRow } from "../pictures";
import { colour, go, route, shown, study, to } from "../state";
import { count, plural } from "../words";

const WALL = { page: "pictures", class: null, answers: null, differing: false } as const;

export function Picture() {
  const at = route.value as PictureRoute;
  const scene = sceneOf(at);
  const { value, error } = usePictures([at.picture]);
  const row = value?.get(at.picture);
  useSteps(at);
  const there = at.picture < study().pictures.count;
  if (there && study().pictures.chosen.includes(at.picture)) shown.value = at.picture;
  return (
    <main class="page" tabIndex={-1}>
      <Crumbs path={crumbs(at.picture, row)} />
      {there ? <Title at={at} row={row} /> : <h1>{`Picture ${at.picture}`}</h1>}
      {there ? null : <Note>{`This study has pictures 0 to ${count(study().pictures.count - 1)}.`}</Note>}
      {error !== undefined ? <Note warns>{error}</Note> : null}
      {row?.reason ? <Note warns>{`It could not be read and was left out: ${row.reason}`}</Note> : null}
      {scene === null ? <Note>No network of this study has layers.</Note> : there && !row?.reason ? <Shown scene={scene} row={row} /> : null}
    </main>
  );
}

function crumbs(picture: number, row: PictureRow | undefined) {
  const label = row?.label ?? null;
  const inClass = label === null ? [] : [{ text: className(label), href: to({ ...WALL, class: label }) }];
  return [{ text: "Pictures", href: to(WALL) }, ...inClass, { text: row?.name ?? `picture ${picture}` }];
}

function Title({ at, row }: { at: PictureRoute; row: PictureRow | undefined }) {
  const { before, after, words } = beside(at.picture);
  const link = (picture: number | null) => (picture === null ? null : to({ ...at, picture }));
  const several = study().networks.length > 1 && !at.all;
  return (
    <div class="title">
      <h1 class="cut-off" title={row?.name}>
        {row?.name ?? `Picture ${at.picture}`}
      </h1>
      <div class="controls">
        {several ? <span class="small soft wide">Align</span> : null}
        {several ? (
          <Segmented label="Align" choices={[{ value: "field", label: "by field" }, { value: "depth", label: "by depth" }]} value={at.align} onPick={(align) => go({ ...at, align }, true)} />
        ) : null}
        <Segmented
          label="Layers"
          choices={[{ value: "stage", label: "Stage" }, { value: "all", label: "All layers", hint: "g" }]}
          value={at.all ? "all" : "stage"}
          onPick={(which) => go({ ...at, all: which === "all" }, true)}
        />
        {words === "" ? null : <span class="small soft">{words}</span>}
        <span class="joined">
          <Button href={link(before)} off={before === null} label="The picture before">
            ↑
          </Button>
          <Button href={link(after)} off={after === null} label="The picture after">
            ↓
          </Button>
        </span>
      </div>
    </div>
  );
}

/** Why a picture has no reconstructions, before the command that draws them. */
function notDrawn(): string {
  const others = study().pictures.chosen.length;
  if (others === 0) return "Reconstructions of this picture are not drawn; this draws them:";
  return `Reconstructions are drawn of ${plural(others, "chosen picture")}, not of this one; this adds it:`;
}

/** Goes along the chosen network's layers. */
function deeper(scene: Scene, by: number): void {
  const { layers } = scene.network;
  const next = layers[layers.indexOf(scene.layer) + by];
  if (next !== undefined) go(chosen(scene, scene.network, next), true);
}

/** The route to another layer at the same place: the unit of that layer nearest the pinned pixel. */
function chosen(scene: Scene, network: NetworkData, layer: LayerData): PictureRoute {
  const at = scene.route.at === null || layer.field === null ? null : unitAt(layer, ...scene.pinned);
  return { ...scene.route, layer: { network: network.name, layer: layer.name }, at };
}

/** Pins the unit of the chosen layer that is nearest a pixel. */
function pin(scene: Scene, pixel: [number, number]): void {
  if (scene.layer.field === null) return;
  go({ ...scene.route, layer: { network: scene.network.name, layer: scene.layer.name }, at: unitAt(scene.layer, ...pixel) });
}

function moveUnit(scene: Scene, key: string): void {
  const { layer, network, route: at } = scene;
  const [down, across] = { "Shift+ArrowUp": [-1, 0], "Shift+ArrowDown": [1, 0], "Shift+ArrowLeft": [0, -1], "Shift+ArrowRight": [0, 1] }[key] ?? [0, 0];
  if (layer.field === null) return;
  const [y, x] = at.at ?? unitAt(layer, ...scene.pinned);
  const within = (place: number, length: number | null) => Math.min(Math.max(place, 0), (length ?? 1) - 1);
  const next: [number, number] = [within(y + (down ?? 0), layer.rows), within(x + (across ?? 0), layer.columns)];
  go({ ...at, layer: { network: network.name, layer: layer.name }, at: next }, true);
}

/** Up and down go from picture to picture, also from one that could not be read. */
function useSteps(at: PictureRoute): void {
  const step = (key: string) => {
    const { before, after } = beside(at.picture);
    const picture = key === "ArrowUp" ? before : after;
    if (picture !== null) go({ ...at, picture }, true);
  };
  useKeys([{ keys: ["ArrowUp", "ArrowDown"], label: "↑ ↓", text: "the picture before, the picture after", run: step }]);
}

function usePageKeys(scene: Scene): void {
  useKeys([
    { keys: ["ArrowLeft", "ArrowRight"], label: "← →", text: "a layer less deep, a layer deeper", run: (key) => deeper(scene, key === "ArrowLeft" ? -1 : 1) },
    { keys: ["g"], label: "g", text: "all layers at once", run: () => go({ ...scene.route, all: !scene.route.all }, true) },
    {
      keys: ["Shift+ArrowLeft", "Shift+ArrowRight", "Shift+ArrowUp", "Shift+ArrowDown"],
      label: "shift ← → ↑ ↓",
      text: "move the unit",
      run: (key) => moveUnit(scene, key),
    },
  ]);
}

function Shown({ scene, row }: { scene: Scene; row: PictureRow | undefined }) {
  const [hovered, setHovered] = useState<[number, number] | null>(null);
  usePageKeys(scene);
  const { command } = study().pictures;
  const draws = row && command ? pictureCommand(study().name, row.name) : command;
  return (
    <div class="picture-body">
      {scene.large ? null : <Note command={draws}>{notDrawn()}</Note>}
      {scene.route.all ? (
        <Everything scene={scene} href={(network, layer) => to({ ...chosen(scene, network, layer), all: false })} />
      ) : (
        <div class="with-aside">
          <Stage scene={scene} name={row?.name ?? "Picture"} pixel={hovered ?? scene.pinned} onHover={setHovered} onPin={(pixel) => pin(scene, pixel)} />
          <Aside scene={scene} pixel={hovered ?? scene.pinned} row={row} />
        </div>
      )}
      {scene.route.all || scene.network.layers.length < 2 ? null : <Strips scene={scene} />}
    </div>
  );
}

/** How far a finger goes to the side before it counts as a swipe. */
const SWIPE = 48;

/** On a phone, a swipe over the stage goes along the layers. */
function useSwipe(scene: Scene): void {
  const touched = useRef(0);
  useEffect(() => {
    const stage = document.querySelector<HTMLElement>(".stage");
    const start = (event: TouchEvent) => (touched.current = event.touches[0]?.clientX ?? 0);
    const end = (event: TouchEvent) => {
      const by = (event.changedTouches[0]?.clientX ?? 0) - touched.current;
      if (Math.abs(by) > SWIPE) deeper(scene, by < 0 ? 1 : -1);
    };
    stage?.addEventListener("touchstart", start, { passive: true });
    stage?.addEventListener("touchend", end, { passive: true });
    return () => {
      stage?.removeEventListener("touchstart", start);
      stage?.removeEventListener("touchend", end);
    };
  }, [scene]);
}

/** A lane whose block with a layer shows that one. */
function showing(lane: Lane, layer: LayerData): Lane {
  return { ...lane, entries: lane.entries.map((entry) => (entry.layers.includes(layer) ? { ...entry, layer } : entry)) };
}

function Strips({ scene }: { scene: Scene }) {
  const scroller = useRef<HTMLDivElement>(null);
  useSwipe(scene);
  useEffect(() => {
    const box = scroller.current;
    const stop = box?.querySelector<HTMLElement>(".stop.chosen");
    if (box && stop) box.scrollLeft = stop.offsetLeft - (box.clientWidth - stop.clientWidth) / 2;
  }, [scene.layer]);
  return (
    <div class="strips" ref={scroller}>
      <div class="depth">
        {scene.depth.lanes.map((lane) => {
          const here = layerUnder(scene, lane);
          return (
            <LaneRow
              key={lane.network.name}
              depth={scene.depth}
              lane={here ? showing(lane, here) : lane}
              picture={scene.picture}
              chosen={here?.name ?? null}
              label={<Label scene={scene} network={lane.network} first={lane === scene.lane} />}
              href={(entry) => to(chosen(scene, lane.network, entry.layer))}
            />
          );
        })}
      </div>
    </div>
  );
}

function Label({ scene, network, first }: { scene: Scene; network: NetworkData; first: boolean }) {
  return (
    <>
      <h2 class={colour(network.name)}>{network.title}</h2>
      {first ? (
        <p class="wide">
          <kbd class="tight">←</kbd>
          <kbd class="tight">→</kbd> depth
        </p>
      ) : (
        <p class="wide">{scene.route.align === "field" ? "sees as much" : "as deep"}</p>
      )}
    </>
  );
}
