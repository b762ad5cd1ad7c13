// The page of a plane: its tools, the plane or two of them, what is chosen.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Arrangement, Chosen, SpaceRoute } from "../address";
import { usePictures } from "../pictures";
import { colour as netOf, go, narrow, study, theme } from "../state";
import { plural } from "../words";
import type { Controller } from "./controller";
import { useColours } from "./colouring";
import { useSpaceKeys } from "./keys";
import { Legend } from "./legend";
import { useAllPictures } from "./light";
import { firstOf, placesOn, planeOf, type Space } from "./model";
import { SpacePanel } from "./panel";
import { PlaneView, rounded } from "./plane";
import { carried, chosenOf, linked, type Selection, selectionOf } from "./selection";
import { colour, lit, pointed, preview, tool } from "./store";
import { Toolbar } from "./toolbar";
import { TruthLine } from "./truth";
import type { Camera } from "./viewer";

const NONE: readonly number[] = [];
/** Patches of the plane beside that belong to what is chosen (null: nothing is), and to what is pointed at. */
interface Links {
  members: Int32Array | null;
  lit: readonly number[];
}
const MOST_LIT = 60;
const NOTHING: Links = { members: null, lit: NONE };

export function SpaceView({ space, other, route }: { space: Space; other: Space | null; route: SpaceRoute }) {
  const { chosen } = route;
  const arrangement = route.arrangement === "one" && !space.planes.one ? "fill" : (route.arrangement ?? firstOf(space));
  const { labels, name } = useNames(space, chosen);
  const selection = useMemo(() => selectionOf(space, chosen, arrangement, labels), [space, JSON.stringify(chosen), arrangement, labels]);
  const change = (part: Partial<SpaceRoute>, replace = false) => go({ ...route, network: space.network.name, layer: space.layer.name, arrangement, ...part }, replace);
  const choose = (next: Chosen | null) => change({ chosen: next, view: cameraNow() });
  const show = (next: Arrangement) => change({ arrangement: next, chosen: carried(chosen, arrangement, next), view: cameraNow() });
  const controllers = useRef<(Controller | null)[]>([null, null]);
  const cameraNow = (): Camera | null => controllers.current[0]?.viewer.camera ?? route.view;
  const links = useLinks(space, other, selection, chosen);
  const view = { space, route, arrangement, chosen, selection, labels, choose, name };
  useEffect(() => {
    pointed.value = { plane: 0, patch: -1 };
    return () => void ((preview.value = null), (lit.value = NONE), (tool.value = "move"));
  }, [space]);
  useSpaceKeys(() => controllers.current[0] ?? null, chosen, choose);
  return (
    <main class="space" id="content" tabIndex={-1}>
      <div class="left">
        <Toolbar space={space} other={other} arrangement={arrangement} onShow={show} chosen={chosen} choose={choose} onBeside={(beside) => change({ beside })} plane={() => controllers.current[0] ?? null} />
        <div class={other ? "planes two" : "planes"}>
          <One {...view} place={0} linked={NOTHING} rest={(camera) => keep(camera, route, change)} give={(made) => (controllers.current[0] = made)} />
          {other ? <One {...view} space={other} chosen={null} selection={null} place={1} linked={links} rest={() => undefined} give={(made) => (controllers.current[1] = made)} /> : null}
          {other ? [space, other].map(({ network, layer }) => <p key={`${network.name} ${layer.name}`} class={`whose small ${netOf(network.name)}`}>{`${network.title} ${layer.name}`}</p>) : null}
        </div>
        <Legend choose={choose} />
        <TruthLine space={space} arrangement={arrangement} />
      </div>
      <SpacePanel {...view} linked={other && links.members ? ` ${plural(links.members.length, "patch", "patches")} of ${other.network.title} ${other.layer.name} have their middle in these.` : ""} />
    </main>
  );
}

/** A view that has come to rest goes into the address, not into the history. */
function keep(camera: Camera, route: SpaceRoute, change: (part: Partial<SpaceRoute>, replace: boolean) => void): void {
  if (route.view === null || rounded(route.view) !== rounded(camera)) change({ view: camera }, true);
}

interface OneProps {
  space: Space;
  route: SpaceRoute;
  arrangement: Arrangement;
  chosen: Chosen | null;
  selection: Selection | null;
  labels: ((picture: number) => number) | null;
  name: (picture: number) => string;
  choose: (chosen: Chosen | null) => void;
  place: 0 | 1;
  linked: Links;
  rest: (camera: Camera) => void;
  give: (controller: Controller | null) => void;
}

/** One of the planes; the one beside shows what is linked to the first one's selection and cursor. */
function One(props: OneProps) {
  const { space, selection, chosen, place } = props;
  const arrangement = props.arrangement === "one" && !space.planes.one ? "fill" : props.arrangement;
  const shaded = useColours(space, chosen, props.labels);
  const members = shaded.members ?? selection?.members ?? props.linked.members;
  const outline = selection && sameShape(selection, arrangement) ? selection.outline : null;
  const dark = theme.value === "dark";
  const shown = { space, arrangement, members, outline, suggested: space.shard.regions.length > 0, outlined: shaded.members === null, colours: shaded.colours, dark };
  const region = chosen !== null && "region" in chosen ? chosen.region : null;
  const start = useMemo(() => startOf(space, arrangement, chosen, selection), [space]);
  return (
    <PlaneView
      shown={shown}
      camera={place === 0 ? props.route.view : null}
      start={start}
      tool={place === 0 ? tool.value : "move"}
      pinned={chosen !== null && "patch" in chosen ? chosen.patch : -1}
      lit={place === 0 ? lit.value : props.linked.lit}
      name={props.name}
      region={region}
      onRest={props.rest}
      onPoint={(patch) => (pointed.value = { plane: place, patch })}
      onPick={(patch) => (place === 0 ? props.choose({ patch }) : go({ ...props.route, network: space.network.name, layer: space.layer.name, view: null, chosen: { patch }, beside: null }))}
      onDraw={(drawn) => props.choose(chosenOf(space, drawn))}
      onRegion={(number) => (place === 0 ? props.choose({ region: number }) : undefined)}
      give={props.give}
    />
  );
}

/** Whether an outline was drawn on what is shown; one-to-one regions are outlined along their cells. */
function sameShape(selection: Selection, arrangement: Arrangement): boolean {
  return selection.on === "fill" && arrangement !== "one";
}

function useLinks(space: Space, other: Space | null, selection: Selection | null, chosen: Chosen | null): Links {
  const pinned = chosen !== null && "patch" in chosen && chosen.patch < space.count ? chosen.patch : null;
  const under = pointed.value.plane === 0 && pointed.value.patch >= 0 ? pointed.value.patch : null;
  const find = (members: ArrayLike<number>) => {
    const [one, two] = [study().views[space.network.view]!, study().views[other!.network.view]!];
    return linked(space, members, other!, { from: one, to: two });
  };
  const members = useMemo(() => {
    const own = selection?.members ?? (pinned === null ? null : [pinned]);
    return other && own ? find(own) : null;
  }, [space, other, selection, pinned]);
  const near = useMemo(() => (other && under !== null ? Array.from(find([under])).slice(0, MOST_LIT) : NONE), [space, other, under]);
  return { members, lit: near };
}

/** Where to look at first: at what is chosen, else at the first suggested region, cells large enough to be seen. */
function startOf(space: Space, arrangement: Arrangement, chosen: Chosen | null, selection: Selection | null): Camera {
  const plane = planeOf(space, arrangement);
  const { x, y } = placesOn(space, arrangement === "one" ? "one" : "fill");
  const width = Math.min(narrow.value ? 12 : 24, plane.columns);
  const own = selection?.members.length ? selection.members : chosen !== null && "patch" in chosen ? [chosen.patch] : (space.shard.regions[0]?.members ?? []);
  const members = Array.from(own).filter((patch) => patch < space.count);
  if (!members.length) return [plane.columns / 2, plane.rows / 2, width];
  const [xs, ys] = [members.map((patch) => x[patch]!), members.map((patch) => y[patch]!)];
  const middle = (values: number[]) => (spanOf(values)[0] + spanOf(values)[1]) / 2;
  const spread = (values: number[]) => spanOf(values)[1] - spanOf(values)[0];
  const wide = Math.min(Math.max(width, 1.5 * Math.max(spread(xs), spread(ys))), plane.columns * 1.1);
  return [within(middle(xs), wide, plane.columns), within(middle(ys), 0.75 * wide, plane.rows), wide];
}

/** The middle of a view so wide that lies on the plane as far as there is room, with a cell beside it. */
function within(middle: number, wide: number, length: number): number {
  const half = wide / 2 - 1;
  return 2 * half >= length ? length / 2 : Math.min(Math.max(middle, half), length - half);
}

function spanOf(values: number[]): [number, number] {
  return values.reduce<[number, number]>(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity]);
}

/** Names of the study's pictures as they are known; and their classes where something asks for all of them. */
function useNames(space: Space, chosen: Chosen | null) {
  const [few] = useState(() => study().pictures.count <= 5 * study().pictures.shard);
  const needed = few || colour.value === "class" || (chosen !== null && "class" in chosen);
  const rows = useAllPictures(needed);
  const patch = pointed.value.patch;
  const picture = patch >= 0 && patch < space.count ? space.picture[patch]! : 0;
  const one = usePictures(needed ? [] : [picture]).value;
  const labels = useMemo(() => (rows && study().pictures.classes ? (of: number) => rows[of]?.label ?? -1 : null), [rows]);
  const name = (of: number) => rows?.[of]?.name ?? one?.get(of)?.name ?? `picture ${of}`;
  return { labels, name };
}
