// Search for a picture or a class, to see its patches light up on the plane.
import { useState } from "preact/hooks";
import { allPictures, className, type PictureRow } from "../pictures";
import { useLoaded } from "../shards";
import { study } from "../state";
import type { Chosen } from "../address";

interface Hit {
  text: string;
  kind: "class" | "picture";
  chosen: Chosen;
}

const MOST = 8;

function hits(rows: readonly PictureRow[], words: string): Hit[] {
  const wanted = words.trim().toLowerCase();
  if (wanted === "") return [];
  const fits = (name: string) => name.toLowerCase().includes(wanted);
  const classes = (study().pictures.classes ?? []).flatMap((name, number): Hit[] =>
    fits(name) ? [{ text: name, kind: "class", chosen: { class: number } }] : [],
  );
  const pictures = rows.flatMap(({ name, picture }): Hit[] => (fits(name) ? [{ text: name, kind: "picture", chosen: { picture } }] : []));
  return [...classes.slice(0, MOST), ...pictures].slice(0, MOST);
}

/** All pictures once they are needed. */
function useAllPictures(needed: boolean): PictureRow[] | null {
  return useLoaded(needed ? "all pictures" : null, () => allPictures()).value ?? null;
}

export function LightUp({ onPick }: { onPick: (chosen: Chosen) => void }) {
  const [words, setWords] = useState("");
  const rows = useAllPictures(words !== "");
  const found = hits(rows ?? [], words);
  const pick = (hit: Hit | undefined) => {
    if (hit === undefined) return;
    setWords("");
    onPick(hit.chosen);
  };
  return (
    <form class="light" role="search" onSubmit={(event) => (event.preventDefault(), pick(found[0]))}>
      <label>
        <span class="unseen">Light up a picture or a class</span>
        <input type="search" placeholder="Light up a picture or class" value={words} onInput={(event) => setWords(event.currentTarget.value)} />
      </label>
      {words === "" ? null : (
        <ul aria-label="Found">
          {found.map((hit) => (
            <li key={`${hit.kind} ${hit.text}`}>
              <button type="button" onClick={() => pick(hit)} title={hit.text}>
                <span class="cut-off">{hit.text}</span> <span class="soft small">{hit.kind}</span>
              </button>
            </li>
          ))}
          {rows !== null && !found.length ? <li class="soft small">No picture and no class has these letters.</li> : null}
        </ul>
      )}
    </form>
  );
}

/** "astronaut 7, chelsea 6": classes of patches, most first; pictures where there are no classes. */
export function counts(labels: ArrayLike<number>): string {
  const held = new Map<number, number>();
  for (let n = 0; n < labels.length; n++) held.set(labels[n]!, (held.get(labels[n]!) ?? 0) + 1);
  const first = [...held].sort((a, b) => b[1] - a[1]).slice(0, 3);
  return first.map(([label, number]) => `${label < 0 ? "unknown" : className(label)} ${number}`).join(", ");
}
