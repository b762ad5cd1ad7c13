// The page of a plane: its tools, the plane or two of them, what is chosen.
import { useEffect, useMemo, useRef } from "preact/hooks";
import type { Arrangement, Chosen, ColourBy, SpaceRoute } from "../address";
import { useIndex } from "../pictures";
import { colour as netOf, go, narrow, route as at, study, theme } from "../state";
import { plural } from "../words";
import type { Controller } from "./controller";
import { useColours } from "./colouring";
import { useSpaceKeys } from "./keys";
import { Legend } from "./legend";
import { firstOf, placesOn, planeOf, type Space } from "./model";
import { SpacePanel } from "./panel";
import { PlaneView, rounded } from "./plane";
import { carried, chosenOf, linked, type Selection, selectionOf } from "./selection";
import { lit, pointed, preview, tool } from "./store";
import { Toolbar } from "./toolbar";
import { TruthLine } from "./truth";
import type { Camera } from "./viewer";

const NONE: readonly number[] = [];
const MOST_LIT = 60;

export function SpaceView({ space, other, route }: { space: Space; other: Space | null; route: SpaceRoute }) {
  const { chosen, colour = null } = route;
  const arrangement = route.arrangement === "one" && !space.planes.one ? "fill" : (route.arrangement ?? firstOf(space));
  const labels = useLabels();
  const selection = useMemo(() => selectionOf(space, chosen, arrangement, labels), [space, JSON.stringify(chosen), arrangement, labels]);
  const controllers = useRef<(Controller | null)[]>([null, null]);
  const doing = useMemo(() => doings(space, controllers.current), [space]);
  const links = useLinks(space, other, selection, chosen);
  const view = { space, route, arrangement, chosen, selection, labels, choose: doing.choose };
  useEffect(() => {
    pointed.value = { plane: 0, patch: -1 };
    return () => void ((preview.value = null), (lit.value = NONE), (tool.value = "move"));
  }, [space]);
  useSpaceKeys(doing.plane, chosen, doing.choose);
  const beside = other && links ? ` ${plural(links.length, "patch", "patches")} of ${other.network.title} ${other.layer.name} have their middle in these.` : "";
  const side = useMemo(() => <SpacePanel {...view} linked={beside} />, [space, arrangement, JSON.stringify(chosen), selection, labels, beside]);
  return (
    <main class="space" id="content" tabIndex={-1}>
      <p class="unseen" id="plane-keys">
        Arrows go from patch to patch, Enter chooses one; plus and minus come nearer and go farther; b and l draw a box or a lasso with the mouse. The
        regions that are suggested, and a search, stand in the panel.
      </p>
      <div class="left">
        <Toolbar
          {...{ ...view, other, colour }}
          onShow={doing.show}
          onColour={(next) => doing.change({ colour: next })}
          onBeside={(next) => doing.change({ beside: next && { ...next, view: null } })}
          plane={doing.plane}
        />
        <div class={other ? "planes two" : "planes"}>
          <One {...view} colour={colour} from={null} linked={null} rest={doing.rest} pick={(patch) => doing.choose({ patch })} give={(made) => (controllers.current[0] = made)} />
          {other ? <One {...view} space={other} colour={colour} chosen={null} selection={null} from={space} linked={links} rest={doing.restBeside} pick={(patch) => go(turned({ ...route, view: doing.plane()?.viewer.camera ?? route.view }, space, other, patch))} give={(made) => (controllers.current[1] = made)} /> : null}
          {other ? [space, other].map(({ network, layer }) => <p key={`${network.name} ${layer.name}`} class={`whose small ${netOf(network.name)}`}>{`${network.title} ${layer.name}`}</p>) : null}
        </div>
        <Legend space={space} colour={colour} choose={doing.choose} />
        <TruthLine space={space} arrangement={arrangement} />
      </div>
      {side}
    </main>
  );
}

/** What changes the address; the address is looked up when they are called. */
function doings(space: Space, controllers: (Controller | null)[]) {
  const here = () => {
    const route = at.peek() as SpaceRoute;
    return { ...route, network: space.network.name, layer: space.layer.name, arrangement: route.arrangement ?? firstOf(space) };
  };
  const change = (part: Partial<SpaceRoute>, replace = false) => go({ ...here(), ...part }, replace);
  const camera = () => controllers[0]?.viewer.camera ?? here().view;
  return {
    change,
    plane: () => controllers[0] ?? null,
    choose: (chosen: Chosen | null) => change({ chosen, view: camera() }),
    show: (next: Arrangement) => change({ arrangement: next, chosen: carried(here().chosen, here().arrangement, next), view: camera() }),
    /** A view that has come to rest goes into the address, not into the history. */
    rest: (view: Camera) => {
      if (at.peek().page !== "space") return;
      const before = here().view;
      if (before === null || rounded(before) !== rounded(view)) change({ view }, true);
    },
    restBeside: (view: Camera) => {
      const route = at.peek();
      if (route.page === "space" && route.beside) change({ beside: { ...route.beside, view } }, true);
    },
  };
}

interface OneProps {
  space: Space;
  route: SpaceRoute;
  arrangement: Arrangement;
  chosen: Chosen | null;
  selection: Selection | null;
  labels: ((picture: number) => number) | null;
  colour: ColourBy | null;
  choose: (chosen: Chosen | null) => void;
  /** The first plane, if this is the one beside it. */
  from: Space | null;
  /** Patches that belong to what is chosen on the first one. */
  linked: Int32Array | null;
  rest: (camera: Camera) => void;
  pick: (patch: number) => void;
  give: (controller: Controller | null) => void;
}

/** One of the planes; the one beside shows what is linked to the first one's selection and cursor. */
function One(props: OneProps) {
  const { space, selection, chosen, from } = props;
  const near = useNear(from, space);
  const arrangement = props.arrangement === "one" && !space.planes.one ? "fill" : props.arrangement;
  const shaded = useColours(space, { chosen, colour: props.colour, labels: props.labels, first: from === null });
  const members = shaded.members ?? selection?.members ?? props.linked;
  const outline = selection && sameShape(selection, arrangement) ? selection.outline : null;
  const dark = theme.value === "dark";
  const shown = { space, arrangement, members, outline, suggested: space.shard.regions.length > 0, outlined: shaded.members === null, colours: shaded.colours, dark };
  const region = chosen !== null && "region" in chosen ? chosen.region : null;
  const tall = props.route.beside ? 1.4 : narrow.value ? 1 : 0.75;
  const start = useMemo(() => startOf(space, arrangement, chosen, selection, tall), [space]);
  return (
    <PlaneView
      shown={shown}
      camera={from ? (props.route.beside?.view ?? null) : props.route.view}
      start={start}
      tool={from ? "move" : tool.value}
      pinned={chosen !== null && "patch" in chosen ? chosen.patch : -1}
      lit={from ? near : lit.value}
      region={region}
      onRest={props.rest}
      onPoint={(patch) => (pointed.value = { plane: from ? 1 : 0, patch })}
      onPick={props.pick}
      onDraw={(drawn) => props.choose(chosenOf(space, drawn))}
      onRegion={(number) => (from ? undefined : props.choose({ region: number }))}
      give={props.give}
    />
  );
}

/** The two planes in each other's place, with a patch chosen on the one that was beside. */
function turned(route: SpaceRoute, first: Space, other: Space, patch: number): SpaceRoute {
  const beside = { network: first.network.name, layer: first.layer.name, view: route.view };
  const colour = typeof route.colour === "object" ? null : (route.colour ?? null);
  return { ...route, network: other.network.name, layer: other.layer.name, view: route.beside?.view ?? null, chosen: { patch }, colour, beside };
}

/** Whether an outline was drawn on what is shown; one-to-one regions are outlined along their cells. */
function sameShape(selection: Selection, arrangement: Arrangement): boolean {
  return selection.on === "fill" && arrangement !== "one";
}

/** Patches of the other plane that belong to what is chosen; null: nothing is. */
function useLinks(space: Space, other: Space | null, selection: Selection | null, chosen: Chosen | null): Int32Array | null {
  const pinned = chosen !== null && "patch" in chosen && chosen.patch < space.count ? chosen.patch : null;
  return useMemo(() => {
    const own = selection?.members ?? (pinned === null ? null : [pinned]);
    return other && own ? linkedTo(space, own, other) : null;
  }, [space, other, selection, pinned]);
}

/** Patches that belong to the one under the cursor of another plane. */
function useNear(from: Space | null, space: Space): readonly number[] {
  const under = from && pointed.value.plane === 0 ? pointed.value.patch : -1;
  return useMemo(() => (from && under >= 0 ? Array.from(linkedTo(from, [under], space)).slice(0, MOST_LIT) : NONE), [from, space, under]);
}

function linkedTo(space: Space, members: ArrayLike<number>, other: Space): Int32Array {
  const { views } = study();
  return linked(space, members, other, { from: views[space.network.view]!, to: views[other.network.view]! });
}

/** Where to look at first: at what is chosen, else at the first suggested region, cells large enough to be seen; the
 *  box is about so many times as high as wide. */
function startOf(space: Space, arrangement: Arrangement, chosen: Chosen | null, selection: Selection | null, tall: number): Camera {
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
  return [within(middle(xs), wide, plane.columns), within(middle(ys), tall * wide, plane.rows), wide];
}

/** The middle of a view so wide that lies on the plane as far as there is room, with a cell beside it. */
function within(middle: number, wide: number, length: number): number {
  const half = wide / 2 - 1;
  return 2 * half >= length ? length / 2 : Math.min(Math.max(middle, half), length - half);
}

function spanOf(values: number[]): [number, number] {
  return values.reduce<[number, number]>(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity]);
}

/** The class of each picture, once it is known. */
function useLabels(): ((picture: number) => number) | null {
  const labels = useIndex(study().pictures.classes !== null).value?.labels ?? null;
  return useMemo(() => labels && ((of: number) => labels[of] ?? -1), [labels]);
}
