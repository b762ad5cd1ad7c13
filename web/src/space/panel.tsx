// What is chosen on a plane, beside it.
import { useRef, useState } from "preact/hooks";
import type { Arrangement, Chosen } from "../address";
import { Button } from "../parts/controls";
import { Crumbs } from "../parts/crumbs";
import { Note } from "../parts/note";
import { className, rowsOf, usePictures } from "../pictures";
import { colour, narrow, study, to } from "../state";
import { count, figure, plural } from "../words";
import { Filters } from "./filters";
import { counts, LightUp } from "./light";
import { placesOn, type Space } from "./model";
import { FilterPanel, PatchPanel } from "./one";
import { Patches, useNames } from "./patch";
import { Planes } from "./planes";
import { copy, csv, python, save } from "./python";
import { type Described, describe } from "./regions";
import type { Selection } from "./selection";

export interface PanelProps {
  space: Space;
  arrangement: Arrangement;
  chosen: Chosen | null;
  selection: Selection | null;
  /** Class of each picture; null: no labels, or not read yet. */
  labels: ((picture: number) => number) | null;
  /** The address with something else chosen. */
  choose: (chosen: Chosen | null) => void;
  /** What the plane beside has of the selection, in words; "": nothing is beside. */
  linked: string;
}

const FIRST = 64;

/** What is chosen, in words; `of`: tells it from all else that can be chosen here. */
export function titleOf(chosen: Chosen | null, space: Space, name: (picture: number) => string): string {
  if (chosen === null) return `${space.network.title} ${space.layer.name}`;
  if ("region" in chosen) return `Region ${chosen.region}`;
  if ("box" in chosen) return "Box";
  if ("poly" in chosen) return "Lasso";
  if ("patch" in chosen) return `Patch ${chosen.patch}`;
  if ("filter" in chosen) return `Filter ${chosen.filter}`;
  return "picture" in chosen ? name(chosen.picture) : className(chosen.class);
}

export function SpacePanel(props: PanelProps) {
  const { space, chosen } = props;
  const name = useNames(chosen !== null && "picture" in chosen ? [chosen.picture] : []);
  const title = titleOf(chosen, space, name);
  const panel = useRef<HTMLElement>(null);
  return (
    <aside class="side" aria-label="What is chosen" ref={panel}>
      {narrow.value ? <button type="button" class="grip" aria-label="Plane or panel" onClick={() => slide(panel.current)} /> : null}
      <Crumbs path={crumbs(space, chosen, title)} />
      <header class="row">
        <h1>{title}</h1>
        {chosen ? <Button onClick={() => props.choose(null)} hint={narrow.value ? "" : "esc"}>Clear</Button> : null}
      </header>
      <Body {...props} />
    </aside>
  );
}

/** On a phone the panel is a sheet that slides over the plane as the page is scrolled: up all of it, or down. */
function slide(panel: HTMLElement | null): void {
  if (panel === null) return;
  const above = panel.getBoundingClientRect().top;
  const header = document.querySelector(".header")?.getBoundingClientRect().bottom ?? 0;
  scrollTo({ top: above > header + 1 ? scrollY + above - header : 0 });
}

function crumbs(space: Space, chosen: Chosen | null, title: string) {
  const plain = { page: "space" as const, arrangement: null, view: null, chosen: null };
  const layer = { ...plain, network: space.network.name, layer: space.layer.name };
  const path = [
    { text: "Space", href: to({ ...plain, network: null, layer: null }) },
    { text: `${space.network.title} ${space.layer.name}`, href: to(layer) },
  ];
  return chosen === null ? path : [...path, { text: title.toLowerCase() }];
}

function Body(props: PanelProps) {
  const { chosen, selection, space } = props;
  if (chosen !== null && "patch" in chosen) return <PatchPanel {...props} patch={chosen.patch} />;
  if (chosen !== null && "filter" in chosen) return <FilterPanel {...props} channel={chosen.filter} />;
  if (chosen === null) return <Nothing {...props} />;
  if (selection === null) return <Missing {...props} />;
  if (!selection.members.length) return <Note>{empty(chosen, space)}</Note>;
  return <Members {...props} chosen={chosen} selection={selection} />;
}

function Missing({ chosen, space }: PanelProps) {
  const region = chosen !== null && "region" in chosen;
  return <Note>{region ? `${space.layer.name} has ${plural(space.shard.regions.length, "suggested region")}.` : "Reading the labels…"}</Note>;
}

function empty(chosen: Chosen, space: Space): string {
  if ("picture" in chosen) return `No patch of this picture is among the ${count(space.count)} of the plane; with more --patches it may be.`;
  return "class" in chosen ? "No patch of the plane is of this class." : "It holds no patch; draw it larger or elsewhere.";
}

function Nothing(props: PanelProps) {
  const { space } = props;
  const pictures = new Set(space.picture).size;
  return (
    <>
      <p class="soft">
        {plural(space.count, "patch", "patches")} of {plural(pictures, "picture")}, each what one unit of{" "}
        <span class={colour(space.network.name)}>{space.layer.name}</span> sees. Those side by side are alike to the layer.
      </p>
      <Planes network={space.network.name} layer={space.layer.name} />
      {space.shard.shortfall ? <Note>{space.shard.shortfall}</Note> : null}
      <Suggested {...props} />
      <LightUp onPick={props.choose} />
      <section class="ways">
        <h2>Regions</h2>
        {space.shard.regions.length ? null : <Note>None that two halves of the patches agree on. Draw one: box or lasso.</Note>}
        <ol>
          {space.shard.regions.map((region) => (
            <li key={region.number}>
              <button type="button" onClick={() => props.choose({ region: region.number })}>
                <b>{region.number}</b>
                <span>{plural(region.members.length, "patch", "patches")}</span>
                <span class="soft small">
                  {plural(region.pictures, "picture")}
                  {region.label === null ? "" : `; ${className(region.label)} ${Math.round(100 * (region.label_share ?? 0))} %`}
                </span>
              </button>
              <Patches space={space} patches={spread(region.members, 7)} />
            </li>
          ))}
        </ol>
      </section>
    </>
  );
}

/** Some of many, evenly. */
function spread(members: number[], most: number): number[] {
  return members.length <= most ? members : Array.from({ length: most }, (_, n) => members[Math.floor((n * members.length) / most)]!);
}

/** The suggested regions, to choose one. */
export function Suggested({ space, chosen, choose }: PanelProps) {
  if (!space.shard.regions.length) return null;
  const own = chosen !== null && "region" in chosen ? chosen.region : null;
  return (
    <p class="suggested">
      <span class="soft small">Suggested</span>
      {space.shard.regions.slice(0, 24).map(({ number }) => (
        <button type="button" key={number} aria-label={`Region ${number}`} aria-pressed={number === own} onClick={() => choose({ region: number })}>
          {number}
        </button>
      ))}
    </p>
  );
}

function Members(props: PanelProps & { chosen: Chosen; selection: Selection }) {
  const { space, chosen, selection } = props;
  const { members } = selection;
  const described = describe(members, placesOn(space, selection.on), space.picture);
  const kinds = useKinds(space, members, described, props.labels);
  const words = [`${plural(members.length, "patch", "patches")} of ${plural(described.pictures, "picture")}`];
  if (described.pictures > 1) words.push(`spread ${figure(described.spread)}`);
  return (
    <>
      <p class="soft" title="Two patches drawn by lot share a picture as often as if all came from so many pictures evenly">
        {words.join(", ")}.{"region" in chosen ? " Suggested." : ""}
        {props.linked}
      </p>
      <Suggested {...props} />
      <Take {...props} />
      <section>
        <header class="row">
          <h2>Patches</h2>
          <span class="soft small cut-off" title={kinds}>{kinds}</span>
        </header>
        <Some space={space} members={fromCentre(space, selection, described.centre)} />
      </section>
      <Filters space={space} members={members} of={JSON.stringify([chosen, selection.on])} />
    </>
  );
}

/** Classes of patches, or their pictures where there are no classes, most first. */
function useKinds(space: Space, members: Int32Array, { counts: pictures }: Described, labels: PanelProps["labels"]): string {
  const first = pictures.slice(0, 3);
  const rows = usePictures(first.map(([picture]) => picture)).value;
  if (study().pictures.classes) return labels ? counts(Array.from(members, (patch) => labels(space.picture[patch]!))) : "";
  return first.map(([picture, number]) => `${rows?.get(picture)?.name ?? `picture ${picture}`} ${number}`).join(", ");
}

/** The members, those nearest to the centre first. */
function fromCentre(space: Space, { members, on }: Selection, centre: number): Int32Array {
  const { x, y } = placesOn(space, on);
  const far = (patch: number) => (x[patch]! - x[centre]!) ** 2 + (y[patch]! - y[centre]!) ** 2;
  return members.slice().sort((a, b) => far(a) - far(b) || a - b);
}

function Some({ space, members }: { space: Space; members: Int32Array }) {
  const [most, setMost] = useState(FIRST);
  return (
    <>
      <Patches space={space} patches={members.subarray(0, most)} />
      {members.length > most ? (
        <Button onClick={() => setMost(most + 4 * FIRST)}>
          {count(Math.min(4 * FIRST, members.length - most))} more of {count(members.length)}
        </Button>
      ) : null}
    </>
  );
}

/** The selection as Python and as a table. */
export function Take(props: PanelProps) {
  const { space, chosen, selection, arrangement } = props;
  return (
    <p class="takes">
      <CopyPython text={python(space, chosen, selection, arrangement)} />
      {selection ? <Button onClick={() => void saveTable(props, selection)}>Table (CSV)</Button> : null}
    </p>
  );
}

async function saveTable({ space, chosen }: PanelProps, selection: Selection): Promise<void> {
  const rows = await rowsOf(Array.from(selection.members, (patch) => space.picture[patch]!));
  const name = (picture: number) => rows.get(picture)?.name ?? "";
  const labelled = (label: number | null | undefined) => (typeof label === "number" ? className(label) : "");
  const label = (picture: number) => labelled(rows.get(picture)?.label);
  const what = titleOf(chosen, space, name).toLowerCase().replace(/[^a-z0-9]+/g, "-");
  const table = csv(space, selection, name, study().pictures.classes ? label : null);
  save(`${study().name}-${space.network.name}-${space.layer.name}-${what}.csv`, table);
}

function CopyPython({ text }: { text: string }) {
  const [said, setSaid] = useState("");
  const take = async () => {
    setSaid((await copy(text)) ? "Copied" : "Not allowed here");
    setTimeout(() => setSaid(""), 1600);
  };
  return (
    <span>
      <button type="button" class="button python" title={text} onClick={() => void take()}>
        {said || "Copy as Python"} <kbd aria-hidden="true">p</kbd>
      </button>
      <span class="unseen" role="status">{said}</span>
    </span>
  );
}

