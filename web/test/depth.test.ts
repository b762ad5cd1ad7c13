import assert from "node:assert/strict";
import { test } from "node:test";
import type { LayerData, NetworkData } from "../src/data";
import { entryOf, layOut, nearest, type Lane } from "../src/depth";

function network(name: string, reaches: number[], block: (at: number) => string = String): NetworkData {
  const layers = reaches.map((reach, at) => ({
    name: `${name}${at}`,
    block: block(at),
    field: { size: [reach, reach], stride: [1, 1], start: [0, 0] },
  }));
  return { name, layers: layers as unknown as LayerData[] } as NetworkData;
}

const VGG = network("v", [3, 5, 6, 10, 14, 16, 24, 32, 40, 44, 60, 76, 92, 100, 132, 164, 196, 212], (at) => String(at < 3 ? 1 : at < 6 ? 2 : 3 + Math.floor((at - 6) / 4)));
const ALEX = network("a", [11, 19, 51, 67, 99, 131, 163, 195]);

test("the deepest network gives the columns, whatever the order", () => {
  for (const networks of [[VGG, ALEX], [ALEX, VGG]]) {
    const depth = layOut(networks, new Set(), "field");
    assert.equal(depth?.columns, 18);
    assert.equal(depth?.deepest.name, "v");
    const alex = depth?.lanes.find((lane) => lane.network === ALEX) as Lane;
    assert.deepEqual(alex.entries.map(({ column }) => column), [3, 5, 9, 10, 13, 14, 15, 16]);
  }
});

test("a folded block takes one column and is shown by its last layer", () => {
  const depth = layOut([VGG, ALEX], new Set(["v/1", "v/2"]), "field");
  assert.equal(depth?.columns, 14);
  assert.deepEqual(depth?.brackets.slice(0, 2), [
    { block: "1", first: 0, last: 0, layers: 3, folded: true },
    { block: "2", first: 1, last: 1, layers: 3, folded: true },
  ]);
  const lane = depth?.lanes[0] as Lane;
  assert.equal(lane.entries[0]?.layer.name, "v2");
  assert.equal(entryOf(lane, "v1"), lane.entries[0]);
});

test("a hundred layers fold into their blocks", () => {
  const deep = network("d", Array.from({ length: 100 }, (_, at) => at + 1), (at) => `stage${Math.floor(at / 10)}`);
  const depth = layOut([deep], new Set(), "field");
  assert.equal(depth?.columns, 10);
  assert.deepEqual(depth?.lanes[0]?.entries.map(({ layers }) => layers.length), Array(10).fill(10));
});

test("where everything of the deepest is folded, the other one gives the columns", () => {
  const folded = new Set(["1", "2", "3", "4", "5"].map((block) => `v/${block}`));
  const depth = layOut([VGG, ALEX], folded, "field");
  assert.equal(depth?.columns, 8);
  assert.equal(depth?.deepest.name, "a");
});

test("one layer, and none", () => {
  assert.equal(layOut([network("x", [7])], new Set(), "depth")?.columns, 1);
  assert.equal(layOut([network("x", [])], new Set(), "field"), null);
  assert.equal(layOut([], new Set(), "field"), null);
});

test("the entry nearest a column; of two as near, the less deep one", () => {
  const lane = layOut([VGG, ALEX], new Set(), "field")?.lanes[1] as Lane;
  assert.equal(nearest(lane, 12)?.layer.name, "a4");
  assert.equal(nearest(lane, 4)?.layer.name, "a0");
  assert.equal(nearest(lane, 0)?.layer.name, "a0");
});
