import assert from "node:assert/strict";
import { test } from "node:test";
import { lines, taken, type Piece } from "../src/live/stream";

function stream(chunks: (string | Uint8Array)[]): ReadableStream<Uint8Array> {
  const bytes = chunks.map((chunk) => (typeof chunk === "string" ? new TextEncoder().encode(chunk) : chunk));
  return new ReadableStream({
    start(controller) {
      for (const chunk of bytes) controller.enqueue(chunk);
      controller.close();
    },
  });
}

async function all(chunks: (string | Uint8Array)[]): Promise<string[]> {
  const found = [];
  for await (const line of lines(stream(chunks))) found.push(line);
  return found;
}

test("lines are put together wherever a chunk cuts them, also within a letter", async () => {
  const letter = new TextEncoder().encode("π");
  assert.deepEqual(await all(['{"a":', "1}\n{", '"b":2}\n']), ['{"a":1}', '{"b":2}']);
  assert.deepEqual(await all(["x", letter.slice(0, 1), letter.slice(1), "\n\nlast"]), ["xπ", "last"]);
  assert.deepEqual(await all([]), []);
});

test("pieces come together by network", () => {
  const pieces: Piece[] = [
    { piece: "input", network: "a", png: "AA" },
    { piece: "layers", network: "a", layers: ["c1", "c2"] },
    { piece: "reconstruction", network: "a", layer: "c1", white: 2, png: "BB" },
    { piece: "error", network: "b", message: "no weights" },
    { piece: "places", network: "a", layer: "c2", row: [0, 1, 2], column: [0, 0, 0], x: [1, 2, 3], y: [3, 4, 5], nearest: [7, 8, 7], distance: [5, 2, 6] },
    { piece: "end", seconds: 1 },
  ];
  const found = pieces.reduce(taken, {});
  assert.deepEqual(Object.keys(found), ["a", "b"]);
  assert.equal(found.a?.input, "data:image/png;base64,AA");
  assert.deepEqual(Object.keys(found.a?.reconstructions ?? {}), ["c1"]);
  assert.deepEqual(found.a?.places.c2?.map((place) => place.nearest), [8, 7]);
  assert.equal(found.b?.error, "no weights");
  assert.equal(found.a?.places.c2?.[1]?.row, 0);
  assert.equal(found.b?.input, null);
});
