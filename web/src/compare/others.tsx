// What else a comparison found: pictures placed differently, sentences with verdicts, figures of its other parts.
import { thumb, trimmed } from "../images";
import { Tile } from "../parts/tile";
import { usePictures } from "../pictures";
import { url } from "../shards";
import { study, to } from "../state";
import { hundredth } from "../words";
import type { Pair } from "./pair";

const FEW = 6;

export function Differing({ pair }: { pair: Pair }) {
  const first = pair.shard.differing.slice(0, FEW);
  const rows = usePictures(first.map(({ picture }) => picture)).value;
  if (!first.length) return null;
  return (
    <section>
      <h2>Pictures the two place differently</h2>
      <ol class="differing">
        {first.map(({ picture, difference }) => {
          const name = rows?.get(picture)?.name ?? `picture ${picture}`;
          const part = thumb(study(), pair.one.view, picture);
          return (
            <li key={picture}>
              <a class="bare" href={to({ page: "picture", picture, layer: null, at: null, align: "field", all: false })} title={name}>
                {part ? <Tile part={trimmed(part, study().views[pair.one.view]!)} shape={1} /> : null}
                <span class="small cut-off">{name}</span>
                <span class="small soft">shares {hundredth(1 - difference)}</span>
              </a>
            </li>
          );
        })}
      </ol>
      <p class="small soft">Share of a picture's nearest pictures that both networks have, the least first; the findings below say in which layers.</p>
      {pair.one.errors?.reason === null && pair.other.errors?.reason === null ? (
        <p class="small">
          <a href={to({ page: "pictures", class: null, answers: null, differing: true })}>Pictures for which networks answer differently</a>
        </p>
      ) : null}
    </section>
  );
}

function Verdict({ holds, warns }: { holds: boolean | null; warns: boolean }) {
  if (holds !== null) return <b class={holds ? "verdict" : "verdict no"}>{holds ? "holds" : "does not hold"}</b>;
  return warns ? <b class="verdict warns">doubtful</b> : null;
}

export function Findings() {
  const parts = study().findings.filter(({ sentences }) => sentences.length);
  if (!parts.length) return null;
  return (
    <section class="findings">
      <h2>What the comparison found</h2>
      {parts.map(({ part, title, sentences }) => (
        <details key={part} open={sentences.some(({ holds }) => holds !== null)}>
          <summary>{title}</summary>
          <ul>
            {sentences.map((sentence) => (
              <li key={sentence.text}>
                <Verdict {...sentence} />
                <span>{sentence.text}</span>
              </li>
            ))}
          </ul>
        </details>
      ))}
    </section>
  );
}

export function Figures({ pair }: { pair: Pair }) {
  const figures = pair.shard.figures.filter(({ files }) => files.length);
  if (!figures.length) return null;
  return (
    <section class="figures">
      {figures.map(({ title, caption, files }) => (
        <figure key={files.join()}>
          <h2>{title}</h2>
          {files.map((file) => (
            <a key={file} href={url(`compare/${file}`)} target="_blank" rel="noopener">
              <img src={url(`compare/${file}`)} alt={`${title}. ${caption}`} loading="lazy" />
            </a>
          ))}
          <figcaption class="small soft">{caption}</figcaption>
        </figure>
      ))}
    </section>
  );
}
