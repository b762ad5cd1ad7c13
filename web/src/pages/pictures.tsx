// All pictures of the study as a wall; of a class, by how networks answer, or where they differ.
import { useEffect, useMemo, useState } from "preact/hooks";
import type { PicturesRoute } from "../address";
import type { NetworkData } from "../data";
import { confusions } from "../confusions";
import { thumb } from "../images";
import { useKeys } from "../keys";
import { Note } from "../parts/note";
import { Tile } from "../parts/tile";
import { useWidth } from "../parts/width";
import { className, heldClasses, outputName, useIndex, usePictures, type Index, type PictureRow } from "../pictures";
import { go, narrow, network as networkOf, route, study, to, walled } from "../state";
import { count, list, plural } from "../words";
import { wallOf } from "../wall/grid";

const GAP = 2;
/** Confusions that are named. */
const CONFUSIONS = 12;

/** Whether a picture is among those that the address asks for. */
function wanted(at: PicturesRoute, index: Index, picture: number): boolean {
  if (at.class !== null && index.labels?.[picture] !== at.class) return false;
  if (at.answers !== null && !answered(at.answers, index, picture)) return false;
  return !at.differing || index.differing?.[picture] === 1;
}

function answered({ network, kind }: NonNullable<PicturesRoute["answers"]>, index: Index, picture: number): boolean {
  const [first, right] = [index.first[network]?.[picture] ?? -1, index.right[network]?.[picture] ?? -1];
  if (typeof kind === "number") return first === kind;
  return first >= 0 && right >= 0 && (first === right) === (kind === "right");
}

function all(at: PicturesRoute): boolean {
  return at.class === null && at.answers === null && !at.differing;
}

/** The pictures asked for, by number; undefined until the index is read. */
function useWanted(at: PicturesRoute): { pictures: number[] | undefined; error?: string | undefined } {
  const { value, error } = useIndex(!all(at));
  const { class: label, answers, differing } = at;
  const every = useMemo(() => Array.from({ length: study().pictures.count }, (_, picture) => picture), []);
  const pictures = useMemo(
    () => (all(at) ? every : value && every.filter((picture) => wanted(at, value, picture))),
    [value, label, answers?.network, answers?.kind, differing],
  );
  useEffect(() => void (walled.value = all(at) ? null : (pictures ?? null)), [pictures]);
  return { pictures, error };
}

export function Pictures() {
  const at = route.value as PicturesRoute;
  const { pictures, error } = useWanted(at);
  const { count: total, bad, thumbs, command } = study().pictures;
  const [hovered, setHovered] = useState("");
  const words = pictures === undefined ? "Reading the pictures' rows…" : all(at) ? plural(total, "picture") : `${count(pictures.length)} of ${plural(total, "picture")}`;
  return (
    <main class="page" tabIndex={-1}>
      <div class="title">
        <div>
          <h1>{at.class === null ? "Pictures" : className(at.class)}</h1>
          <p class="soft" role="status">
            {bad > 0 && all(at) ? `${words}, of which ${count(bad)} could not be read` : words}
          </p>
        </div>
        <Controls at={at} />
      </div>
      <Confusions at={at} />
      <p class="hovered small soft cut-off" aria-hidden="true">
        {hovered}
      </p>
      {error === undefined ? null : <Note warns>{error}</Note>}
      {thumbs === null ? <Note command={command}>Small pictures are missing; this makes them:</Note> : null}
      {pictures === undefined ? null : pictures.length === 0 ? <Note>No such picture.</Note> : <Wall pictures={pictures} onHover={setHovered} />}
    </main>
  );
}

/** Networks that answer with outputs whose right ones may be known. */
function answering(): NetworkData[] {
  return study().networks.filter(({ errors }) => errors !== null && errors.reason === null);
}

function Controls({ at }: { at: PicturesRoute }) {
  const networks = answering();
  return (
    <div class="controls">
      {study().pictures.classes ? <Classes at={at} /> : null}
      {networks.length > 0 ? <Answers at={at} /> : null}
      {networks.length > 1 ? (
        <button type="button" class="button toggle" aria-pressed={at.differing} onClick={() => go({ ...at, differing: !at.differing }, true)}>
          Networks differ
        </button>
      ) : null}
      {networks.length === 0 ? <NoAnswers /> : null}
    </div>
  );
}

function Classes({ at }: { at: PicturesRoute }) {
  const held = heldClasses();
  const sizes = study().pictures.sizes ?? [];
  return (
    <select aria-label="Class" value={at.class === null ? "" : String(at.class)} onChange={({ currentTarget: { value } }) => go({ ...at, class: value === "" ? null : Number(value) }, true)}>
      <option value="">{`All ${plural(held.length, "class", "classes")}`}</option>
      {held.map((label) => (
        <option key={label} value={String(label)}>{`${className(label)} (${count(sizes[label] ?? 0)})`}</option>
      ))}
    </select>
  );
}

/** Right and wrong answers of each network that has any; one of its outputs, where the address names it. */
function Answers({ at }: { at: PicturesRoute }) {
  const { answers } = at;
  const labelled = answering().filter(({ errors }) => errors !== null && errors.top1 !== null);
  const choices = labelled.flatMap(({ name, title }) => (["right", "wrong"] as const).map((kind) => ({ network: name, kind, text: `${title} ${kind}` })));
  const said = answers !== null && typeof answers.kind === "number" ? [{ ...answers, text: `${networkOf(answers.network)?.title}: ${says(answers.network, answers.kind)}` }] : [];
  const all = [...choices, ...said];
  const picked = all.findIndex(({ network, kind }) => network === answers?.network && kind === answers.kind);
  const pick = (place: string) => {
    const choice = all[Number(place)];
    go({ ...at, answers: place === "" || choice === undefined ? null : { network: choice.network, kind: choice.kind } }, true);
  };
  if (all.length === 0) return null;
  return (
    <select aria-label="Answers" value={picked < 0 ? "" : String(picked)} onChange={({ currentTarget: { value } }) => pick(value)}>
      <option value="">Any answer</option>
      {all.map(({ text }, place) => (
        <option key={text} value={String(place)}>
          {text}
        </option>
      ))}
    </select>
  );
}

/** What a network calls an output. */
function says(network: string, output: number): string {
  return outputName(networkOf(network)?.outputs ?? [], output);
}

/** Why pictures cannot be chosen by answers. */
function NoAnswers() {
  const { networks } = study();
  const reasons = networks.flatMap(({ title, errors }) => (errors?.reason ? [`${title}: ${errors.reason}`] : []));
  if (reasons.length === 0) return null;
  const trunks = networks.every(({ trunk }) => trunk);
  const words = trunks ? `No predictions: ${list(networks.map(({ title }) => title))} ${networks.length === 1 ? "has" : "have"} no classifier` : "Which answers are right is not known";
  return <span class="small soft reasons" title={reasons.join("; ")}>{words}</span>;
}

/** What a network takes for what, most often first: of a class, the pictures that it calls something else. */
function Confusions({ at }: { at: PicturesRoute }) {
  const network = at.answers !== null && at.answers.kind !== "right" ? at.answers.network : null;
  const { value } = useIndex(network !== null);
  const found = useMemo(() => (value?.labels && network !== null ? confusions(value.labels, value.first[network] ?? [], value.right[network] ?? []) : []), [value, network]);
  if (network === null || found.length === 0) return null;
  return (
    <section class="confusions" aria-label="Taken for another class">
      <p class="small soft">Most often taken for another:</p>
      <ul>
        {found.slice(0, CONFUSIONS).map(({ label, output, count: times }) => {
          const here = at.class === label && at.answers?.kind === output;
          return (
            <li key={`${label} ${output}`}>
              <a class="small" aria-current={here ? "true" : undefined} href={to({ ...at, class: label, answers: { network, kind: output } })}>
                {`${className(label)} for ${says(network, output)}`} <b>{count(times)}</b>
              </a>
            </li>
          );
        })}
      </ul>
    </section>
  );
}

/** How far the page is scrolled, and how high the window is. */
function useScroll(): { top: number; height: number } {
  const [state, setState] = useState({ top: scrollY, height: innerHeight });
  useEffect(() => {
    const tell = () => setState({ top: scrollY, height: innerHeight });
    addEventListener("scroll", tell, { passive: true });
    addEventListener("resize", tell);
    return () => {
      removeEventListener("scroll", tell);
      removeEventListener("resize", tell);
    };
  }, []);
  return state;
}

/** Moves the focus among the squares that are drawn; the page scrolls along and draws more. */
function moveFocus(key: string, across: number): void {
  const links = [...document.querySelectorAll<HTMLElement>(".wall a")];
  const at = links.indexOf(document.activeElement as HTMLElement);
  const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -across, ArrowDown: across }[key] ?? 0;
  links[at < 0 ? 0 : at + by]?.focus();
}

function Wall({ pictures, onHover }: { pictures: number[]; onHover: (words: string) => void }) {
  const [element, width] = useWidth<HTMLUListElement>();
  const { top, height } = useScroll();
  const above = top - (element.current?.offsetTop ?? 0);
  const wall = wallOf(pictures.length, Math.max(width, 1), narrow.value ? 72 : 96, GAP, above, height);
  const drawn = width === 0 ? [] : pictures.slice(wall.first, wall.end);
  const rows = usePictures(drawn).value;
  useKeys([{ keys: ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"], label: "← → ↑ ↓", text: "from picture to picture", run: (key) => moveFocus(key, wall.across) }]);
  const side = wall.step - GAP;
  return (
    <ul class="wall" aria-label="Pictures" ref={element} style={{ height: `${wall.height}px` }} onMouseLeave={() => onHover("")}>
      {drawn.map((picture, at) => {
        const place = wall.first + at;
        const [row, column] = [Math.floor(place / wall.across), place % wall.across];
        const style = { width: `${side}px`, height: `${side}px`, transform: `translate(${column * wall.step}px, ${row * wall.step}px)` };
        return (
          <li key={picture} style={style}>
            <Square picture={picture} row={rows?.get(picture)} onHover={onHover} />
          </li>
        );
      })}
    </ul>
  );
}

function Square({ picture, row, onHover }: { picture: number; row: PictureRow | undefined; onHover: (words: string) => void }) {
  const name = row?.name ?? `picture ${picture}`;
  const answers = Object.entries(row?.predictions ?? {}).map(([network, { outputs }]) => `${networkOf(network)?.title}: ${says(network, outputs[0] ?? 0)}`);
  const words = [name, ...(row?.label === null || row === undefined ? [] : [className(row.label)]), ...answers, ...(row?.reason ? [row.reason] : [])].join(" · ");
  const part = row?.reason ? null : thumb(study(), 0, picture);
  return (
    <a href={to({ page: "picture", picture, layer: null, at: null, align: "field", all: false })} onMouseEnter={() => onHover(words)} onFocus={() => onHover(words)}>
      <Tile part={part} label={name} shape={1} />
    </a>
  );
}
