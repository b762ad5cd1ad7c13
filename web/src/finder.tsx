// The finder: a few letters lead to a layer, a filter, a picture or a class.
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { find, type Found } from "./find";
import { thumb } from "./images";
import { Tile } from "./parts/tile";
import { allPictures, type PictureRow } from "./pictures";
import { finding, go, study } from "./state";

/** Rows of the study's pictures, as they are read. */
function useRows(): PictureRow[] {
  const [rows, setRows] = useState<PictureRow[]>([]);
  useEffect(() => {
    let wanted = true;
    const told = (all: PictureRow[]) => wanted && setRows([...all]);
    allPictures(told).catch(() => undefined);
    return () => {
      wanted = false;
    };
  }, []);
  return rows;
}

function Option({ found, id, chosen, onPick }: { found: Found; id: string; chosen: boolean; onPick: () => void }) {
  const picture = found.target.page === "picture" ? thumb(study(), 0, found.target.picture) : null;
  return (
    <li id={id} role="option" aria-selected={chosen} onClick={onPick}>
      <span class="mini">{picture ? <Tile part={picture} shape={1} /> : null}</span>
      <span class="cut-off">{found.text}</span>
      <span class="soft small cut-off">{found.of}</span>
      <span class="soft small">{found.kind}</span>
    </li>
  );
}

interface AskProps {
  query: string;
  /** Which of the things found is marked; null: nothing is found. */
  here: number | null;
  onAsk: (query: string) => void;
  onPress: (event: KeyboardEvent) => void;
}

function Ask({ query, here, onAsk, onPress }: AskProps) {
  return (
    <input
      type="text"
      autofocus
      placeholder="Layer, filter, picture, class: c4_1, c4_1 84, coffee"
      aria-label="Find a layer, filter, picture or class"
      role="combobox"
      aria-expanded={here !== null}
      aria-controls="found"
      aria-activedescendant={here === null ? undefined : `found-${here}`}
      value={query}
      onInput={(event) => onAsk(event.currentTarget.value)}
      onKeyDown={onPress}
    />
  );
}

export function Finder() {
  const dialog = useRef<HTMLDialogElement>(null);
  const [{ query, at }, setState] = useState({ query: "", at: 0 });
  const rows = useRows();
  const found = find(study(), query, rows);
  const here = Math.min(at, Math.max(found.length - 1, 0));
  useLayoutEffect(() => dialog.current?.showModal(), []);
  const close = () => (finding.value = false);
  const pick = (one: Found | undefined) => {
    if (one === undefined) return;
    close();
    go(one.target);
  };
  const press = (event: KeyboardEvent) => {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (by !== undefined) setState({ query, at: (here + by + found.length) % Math.max(found.length, 1) });
    else if (event.key === "Enter") pick(found[here]);
    else return;
    event.preventDefault();
  };
  return (
    <dialog ref={dialog} class="finder" aria-label="Find" onClose={close} onClick={(event) => event.target === dialog.current && close()}>
      <Ask query={query} here={found.length > 0 ? here : null} onAsk={(text) => setState({ query: text, at: 0 })} onPress={press} />
      <ul id="found" role="listbox" aria-label="Found">
        {found.map((one, place) => (
          <Option key={place} id={`found-${place}`} found={one} chosen={place === here} onPick={() => pick(one)} />
        ))}
      </ul>
      {query.trim() !== "" && found.length === 0 ? <p class="small soft">Nothing of this study has such a name.</p> : null}
    </dialog>
  );
}
