// How true a plane is: a line under it, and the whole report.
import { useEffect, useRef, useState } from "preact/hooks";
import type { Arrangement } from "../address";
import { count, figure, percent } from "../words";
import type { Space } from "./model";

type Row = Space["shard"]["truth"][number];

export function TruthLine({ space, arrangement }: { space: Space; arrangement: Arrangement }) {
  const [open, setOpen] = useState(false);
  const named = (name: string, of: string) => space.shard.truth.find((row) => row.name === name && row.of === of && row.value !== null);
  const [recall, trust] = [named("neighbour recall", "embedding"), named("trustworthiness", "embedding")];
  return (
    <p class="truth small">
      <span class="wide">{shownOf(space, arrangement, named("patches shown", "fill"))}</span>
      {recall ? (
        <span>
          Neighbours kept <b>{percent(recall.value!)}</b>
          {recall.control === null ? "" : `, by chance ${percent(recall.control)}`}
        </span>
      ) : null}
      {trust ? (
        <span class="wide">
          Trustworthiness <b>{trust.value!.toFixed(2)}</b>
          {trust.control === null ? "" : `, shuffled ${trust.control.toFixed(2)}`}
        </span>
      ) : null}
      {space.shard.truth.length ? (
        <button type="button" class="asks" onClick={() => setOpen(true)}>
          Is the plane true?
        </button>
      ) : null}
      {open ? <Report space={space} onClose={() => setOpen(false)} /> : null}
    </p>
  );
}

function shownOf(space: Space, arrangement: Arrangement, filled: Row | undefined): string {
  const patches = `${count(space.count)} patches`;
  if (arrangement === "points") return `${patches}, a point each`;
  if (arrangement === "one") return `${patches}, each shown once`;
  return filled ? `${percent(filled.value!)} of ${patches} shown, the nearest in each cell` : `${patches}, the nearest in each cell`;
}

function Report({ space, onClose }: { space: Space; onClose: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} class="report" aria-label="Is the plane true?" onClose={onClose} onClick={(event) => event.target === dialog.current && dialog.current?.close()}>
      <header class="row">
        <h2>Is the plane true?</h2>
        <button type="button" class="button" onClick={() => dialog.current?.close()}>
          Close <kbd aria-hidden="true">esc</kbd>
        </button>
      </header>
      <p class="soft">
        A plane shows {count(space.shard.activations.channels)} dimensions in two, so it leaves most of them out. Each number means
        something as far as it is away from its control: what chance or shuffled vectors give.
      </p>
      <div class="scrolls" tabIndex={0}>
        <table>
          <thead>
            <tr>
              <th>measure</th>
              <th>of</th>
              <th class="number">value</th>
              <th class="number">control</th>
              <th>what it says</th>
            </tr>
          </thead>
          <tbody>{space.shard.truth.map((row) => <Line key={`${row.name} ${row.of}`} row={row} />)}</tbody>
        </table>
      </div>
    </dialog>
  );
}

function Line({ row }: { row: Row }) {
  return (
    <tr>
      <td>{row.name}</td>
      <td>{row.of}</td>
      <td class="number">{row.value === null ? "none" : figure(row.value)}</td>
      <td class="number soft">{row.control === null ? "" : figure(row.control)}</td>
      <td class="small soft">
        {row.meaning}
        {row.sample ? `; of a sample of ${count(row.sample)}` : ""}
        {row.missing ? `; ${row.missing}` : ""}
      </td>
    </tr>
  );
}
