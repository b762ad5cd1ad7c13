// A picture dropped on the page goes through the networks; what each layer keeps of it appears as it is made.
import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { serveCommand } from "../commands";
import type { NetworkData } from "../data";
import { offer } from "../lazy";
import { Button, Segmented } from "../parts/controls";
import { Note } from "../parts/note";
import { colour, study, to } from "../state";
import { figure, list, percent, sentence } from "../words";
import { send, taken, type Passed, type Place } from "./stream";

type Which = "all" | "conv" | "even";

const chosen = signal<string[] | null>(null); // networks; null: all
const which = signal<Which>("all");
const passed = signal<Record<string, Passed>>({});
const state = signal<{ file: string | null; busy: boolean; said: string; failed: boolean }>({
  file: null,
  busy: false,
  said: "",
  failed: false,
});
let running: AbortController | null = null;
let last: File | null = null;

function networks(): NetworkData[] {
  return study().networks.filter((one) => chosen.value === null || chosen.value.includes(one.name));
}

async function pass(file: File): Promise<void> {
  running?.abort();
  const own = (running = new AbortController());
  last = file;
  passed.value = {};
  state.value = { file: file.name, busy: true, said: "", failed: false };
  let said = "";
  let failed = false;
  try {
    for await (const piece of send(file, networks().map((one) => one.name), which.value, own.signal)) {
      if (own.signal.aborted) return;
      if (piece.piece === "end") said = `All of it took ${figure(piece.seconds)} seconds.`;
      else passed.value = taken(passed.value, piece);
    }
  } catch (error) {
    said = error instanceof Error ? error.message : String(error);
    failed = true;
  }
  if (!own.signal.aborted) state.value = { file: file.name, busy: false, said, failed };
}

function take(files: FileList | null | undefined): void {
  const file = files?.[0];
  if (file !== undefined) void pass(file);
}

function toggle(name: string): void {
  const now = networks().map((one) => one.name);
  const next = now.includes(name) ? now.filter((one) => one !== name) : [...now, name];
  if (next.length > 0) chosen.value = next;
}

function Choices() {
  const own = networks();
  return (
    <div class="live-choices">
      <div class="segmented" role="group" aria-label="Networks">
        {study().networks.map((one) => (
          <button type="button" key={one.name} aria-pressed={own.includes(one)} onClick={() => toggle(one.name)}>
            {one.title}
          </button>
        ))}
      </div>
      <Segmented<Which>
        label="Layers"
        value={which.value}
        onPick={(value) => (which.value = value)}
        choices={[
          { value: "all", label: "All layers" },
          { value: "conv", label: "Convolutions" },
          { value: "even", label: "Every second" },
        ]}
      />
      <Button off={state.value.busy || state.value.file === null} onClick={() => last && void pass(last)}>
        Again
      </Button>
    </div>
  );
}

function Drop() {
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => {
    const over = (event: DragEvent) => event.preventDefault();
    const drop = (event: DragEvent) => {
      event.preventDefault();
      take(event.dataTransfer?.files);
    };
    const paste = (event: ClipboardEvent) => take(event.clipboardData?.files);
    addEventListener("dragover", over);
    addEventListener("drop", drop);
    addEventListener("paste", paste);
    return () => {
      removeEventListener("dragover", over);
      removeEventListener("drop", drop);
      removeEventListener("paste", paste);
    };
  }, []);
  const pick = () => take(input.current?.files);
  return (
    <label class="live-drop">
      <input ref={input} class="unseen" type="file" accept="image/*" onChange={pick} />
      <span>{state.value.file === null ? "Drop a picture here, paste one, or choose a file" : "Drop, paste or choose another"}</span>
      <span class="soft small">It goes to this machine's server only, and is not stored.</span>
    </label>
  );
}

function Panel({ name, src, note, pending }: { name: string; src: string | null; note: string; pending: boolean }) {
  return (
    <figure class="live-panel">
      {src === null ? <span class={pending ? "live-square pending" : "live-square"} /> : <img class="live-square" src={src} alt={`${name}: ${note}`} />}
      <figcaption>
        <b class="cut-off" title={name}>{name}</b>
        <span class="soft small">{note}</span>
      </figcaption>
    </figure>
  );
}

function Predictions({ of }: { of: Passed }) {
  if (of.predictions === null) return null;
  if (of.predictions.reason !== null) return <p class="soft">No predictions: {of.predictions.reason}.</p>;
  return (
    <p>
      {list(of.predictions.classes.map((one) => `${one.name} ${percent(one.probability, 1)}`))}
    </p>
  );
}

/** The patches that are most like one of the plane's, each a link to that. */
function Places({ network, layer, places }: { network: string; layer: string; places: Place[] }) {
  const route = (patch: number) =>
    to({ page: "space", network, layer, arrangement: null, view: null, chosen: { patch }, beside: null });
  return (
    <p>
      On the plane of {layer}, nearest to patches{" "}
      {places.slice(0, 5).map((place, at) => (
        <>
          {at > 0 ? ", " : ""}
          <a href={route(place.nearest)} title={`unit ${place.row}, ${place.column} lies at ${figure(place.x)}, ${figure(place.y)}`}>
            {place.nearest}
          </a>
        </>
      ))}
      .
    </p>
  );
}

function Passing({ network }: { network: NetworkData }) {
  const found = passed.value[network.name];
  if (found === undefined) return null;
  const done = Object.keys(found.reconstructions).length;
  const next = found.layers.find((layer) => found.reconstructions[layer] === undefined);
  return (
    <section class="live-network">
      <h2 class={colour(network.name)}>{network.title}</h2>
      {found.error === null ? null : <Note warns>{found.error}</Note>}
      {found.lost === "" ? null : <p class="soft">{sentence(found.lost)}</p>}
      <Predictions of={found} />
      <div class="live-row">
        <Panel name="Input" src={found.input} note="as it sees it" pending={found.input === null} />
        {found.layers.map((layer) => {
          const made = found.reconstructions[layer];
          const note = made ? `white is ${figure(made.white)}` : "";
          return <Panel key={layer} name={layer} src={made?.png ?? null} note={note} pending={state.value.busy && layer === next} />;
        })}
      </div>
      {Object.entries(found.places).map(([layer, places]) => (
        <Places key={layer} network={network.name} layer={layer} places={places} />
      ))}
      {state.value.busy && next !== undefined ? (
        <p class="soft small">
          {done} of {found.layers.length} layers
        </p>
      ) : null}
    </section>
  );
}

function LivePage() {
  const now = state.value;
  return (
    <main class="page live">
      <div class="live-head">
        <div>
          <h1>{now.file ?? "A picture of yours"}</h1>
          <p class="soft">What each layer keeps of it; grey is zero, each stretched by itself.</p>
        </div>
        <Choices />
      </div>
      {study().live ? <Drop /> : <Note command={serveCommand(study().name)}>Only a server answers pictures: </Note>}
      <p role="status" class={now.failed ? "note warns" : "soft"}>
        {now.busy ? "On its way…" : now.said}
      </p>
      {study().networks.map((network) => (
        <Passing key={network.name} network={network} />
      ))}
    </main>
  );
}

offer("live", LivePage);
