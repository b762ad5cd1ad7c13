// All pictures of the study as a wall; of a class, by how networks answer, or where they differ.
import { useEffect, useMemo, useState } from "preact/hooks";
import type { PicturesRoute } from "../address";
import { thumb } from "../images";
import { useKeys } from "../keys";
import { Note } from "../parts/note";
import { Tile } from "../parts/tile";
import { useWidth } from "../parts/width";
import { className, useIndex, usePictures, type Index, type PictureRow } from "../pictures";
import { go, narrow, route, study, to } from "../state";
import { count, list, plural } from "../words";
import { wallOf } from "../wall/grid";

const GAP = 2;

/** Whether a picture is among those that the address asks for. */
function wanted(at: PicturesRoute, { labels, answers, differing }: Index, picture: number): boolean {
  if (at.class !== null && labels?.[picture] !== at.class) return false;
  if (at.answers !== null && answers[at.answers.network]?.[picture] !== (at.answers.right ? 1 : 2)) return false;
  return !at.differing || differing?.[picture] === 1;
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
    [value, label, answers?.network, answers?.right, differing],
  );
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
            {bad > 0 ? `${words}, of which ${count(bad)} could not be read` : words}
          </p>
        </div>
        <Controls at={at} />
      </div>
      <p class="hovered small soft cut-off" aria-hidden="true">
        {hovered}
      </p>
      {error === undefined ? null : <Note warns>{error}</Note>}
      {thumbs === null ? <Note command={command}>Small pictures are missing; this makes them:</Note> : null}
      {pictures === undefined ? null : pictures.length === 0 ? <Note>No picture is so.</Note> : <Wall pictures={pictures} onHover={setHovered} />}
    </main>
  );
}

/** Networks that answer with outputs whose right ones may be known. */
function answering(): { name: string; title: string }[] {
  return study().networks.filter(({ errors }) => errors !== null && errors.reason === null);
}

function Controls({ at }: { at: PicturesRoute }) {
  const { classes } = study().pictures;
  const networks = answering();
  const labelled = study().networks.filter(({ errors }) => errors !== null && errors.top1 !== null);
  const answers = at.answers === null ? "" : `${at.answers.right ? "right" : "wrong"} ${at.answers.network}`;
  const pick = (text: string) => {
    const space = text.indexOf(" ");
    const picked = space < 0 ? null : { network: text.slice(space + 1), right: text.startsWith("right") };
    go({ ...at, answers: picked }, true);
  };
  return (
    <div class="controls">
      {classes ? (
        <select aria-label="Class" value={at.class === null ? "" : String(at.class)} onChange={({ currentTarget: { value } }) => go({ ...at, class: value === "" ? null : Number(value) }, true)}>
          <option value="">{`All ${plural(classes.length, "class", "classes")}`}</option>
          {classes.map((name, label) => (
            <option key={label} value={String(label)}>
              {name}
            </option>
          ))}
        </select>
      ) : null}
      {labelled.length > 0 ? (
        <select aria-label="Answers" value={answers} onChange={({ currentTarget: { value } }) => pick(value)}>
          <option value="">Any answer</option>
          {labelled.flatMap(({ name, title }) =>
            ["right", "wrong"].map((kind) => <option key={`${kind} ${name}`} value={`${kind} ${name}`}>{`${title} ${kind}`}</option>),
          )}
        </select>
      ) : null}
      {networks.length > 1 ? (
        <button type="button" class="button toggle" aria-pressed={at.differing} onClick={() => go({ ...at, differing: !at.differing }, true)}>
          Networks differ
        </button>
      ) : null}
      {networks.length === 0 ? <NoAnswers /> : null}
    </div>
  );
}

function NoAnswers() {
  const reasons = study().networks.flatMap(({ title, errors }) => (errors?.reason ? [`${title}: ${errors.reason}`] : []));
  return reasons.length === 0 ? null : <span class="small soft reasons" title={reasons.join("; ")}>{`No predictions: ${list(study().networks.map(({ title }) => title))} ${reasons.length === 1 ? "has" : "have"} no classifier`}</span>;
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
    <ul class="wall" ref={element} style={{ height: `${wall.height}px` }} onMouseLeave={() => onHover("")}>
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
  const words = [name, ...(row?.label === null || row === undefined ? [] : [className(row.label)]), ...(row?.reason ? [row.reason] : [])].join(" · ");
  const part = row?.reason ? null : thumb(study(), 0, picture);
  return (
    <a href={to({ page: "picture", picture, layer: null, at: null, align: "field", all: false })} onMouseEnter={() => onHover(words)} onFocus={() => onHover(words)}>
      <Tile part={part} label={name} shape={1} />
    </a>
  );
}
