// A picture sent to the server, which answers in lines of JSON while it works: each a piece of what it finds.

export interface Place {
  row: number;
  column: number;
  x: number;
  y: number;
  nearest: number;
  distance: number;
}
export type Piece =
  | { piece: "input"; network: string; png: string }
  | { piece: "layers"; network: string; layers: string[]; lost?: string }
  | { piece: "reconstruction"; network: string; layer: string; white: number; png: string }
  | {
      piece: "predictions";
      network: string;
      reason: string | null;
      classes: { index: number; name: string; probability: number }[];
    }
  | ({ piece: "places"; network: string; layer: string } & Record<keyof Place, number[]>)
  | { piece: "error"; network: string; message: string }
  | { piece: "end"; seconds: number };

/** What is known of one network so far. */
export interface Passed {
  input: string | null;
  layers: string[];
  /** What reconstructions do not know, in words. */
  lost: string;
  reconstructions: Record<string, { png: string; white: number }>;
  predictions: { reason: string | null; classes: { name: string; probability: number }[] } | null;
  /** By layer: its patches on the plane, those most like a patch that is there first; of each such patch the one most like it. */
  places: Record<string, Place[]>;
  error: string | null;
}

const NOTHING: Passed = { input: null, layers: [], lost: "", reconstructions: {}, predictions: null, places: {}, error: null };

function image(png: string): string {
  return `data:image/png;base64,${png}`;
}

function placesOf(piece: Record<keyof Place, number[]>): Place[] {
  const at = (name: keyof Place, index: number) => piece[name][index] as number;
  const all = piece.x.map((_, index): Place => ({
    row: at("row", index),
    column: at("column", index),
    x: at("x", index),
    y: at("y", index),
    nearest: at("nearest", index),
    distance: at("distance", index),
  }));
  const near = all.sort((one, other) => one.distance - other.distance);
  const first = new Map(near.map((place) => [place.nearest, place] as const).reverse());
  return near.filter((place) => first.get(place.nearest) === place);
}

/** What is known of all networks once a piece more is. */
export function taken(known: Record<string, Passed>, piece: Piece): Record<string, Passed> {
  if (piece.piece === "end") return known;
  const before = known[piece.network] ?? NOTHING;
  return { ...known, [piece.network]: { ...before, ...more(before, piece) } };
}

function more(before: Passed, piece: Exclude<Piece, { piece: "end" }>): Partial<Passed> {
  switch (piece.piece) {
    case "input":
      return { input: image(piece.png) };
    case "layers":
      return { layers: piece.layers, lost: piece.lost ?? "" };
    case "reconstruction":
      return { reconstructions: { ...before.reconstructions, [piece.layer]: { png: image(piece.png), white: piece.white } } };
    case "predictions":
      return { predictions: { reason: piece.reason, classes: piece.classes } };
    case "places":
      return { places: { ...before.places, [piece.layer]: placesOf(piece) } };
    case "error":
      return { error: piece.message };
  }
}

/** The lines of an answer, as they come; a line that a chunk cuts is put together. */
export async function* lines(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  const reader = stream.getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    rest += decoder.decode(value, { stream: !done });
    const parts = rest.split("\n");
    rest = parts.pop() as string;
    yield* parts.filter((part) => part !== "");
    if (done) break;
  }
  if (rest !== "") yield rest;
}

/** Sends a picture; throws what the server says when it refuses it. */
export async function* send(file: File, networks: string[], layers: string, signal: AbortSignal): AsyncGenerator<Piece> {
  const query = new URLSearchParams([...networks.map((name) => ["network", name]), ["layers", layers]]);
  const kind = file.type.startsWith("image/") ? file.type : "application/octet-stream";
  const answer = await fetch(`live/picture?${query}`, { method: "POST", body: file, headers: { "content-type": kind }, signal });
  if (!answer.ok || answer.body === null) throw new Error((await answer.text()).trim() || `the server says ${answer.status}`);
  for await (const line of lines(answer.body)) yield JSON.parse(line) as Piece;
}
