import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { contrasts, count, LEVELS, sorted, strongest } from "../src/space/contrast";
import { readPolygon, writePolygon } from "../src/polygon";
import { boxOf, simplify, stepsOf } from "../src/space/polygons";
import type { Corner, Outline, Places } from "../src/space/regions";
import { describe, inside, placesOfCells, placesOfPoints } from "../src/space/regions";

// Made by tests/explorer/page_vectors.py; read from the folder in which npm runs.
const vectors = JSON.parse(readFileSync("test/regions.json", "utf8"));
const pictures = Int32Array.from(vectors.pictures as number[]);

function places(flat: number[]): Places {
  const even = flat.filter((_, n) => n % 2 === 0);
  return { x: Float64Array.from(even), y: Float64Array.from(flat.filter((_, n) => n % 2 === 1)) };
}

test("places are those of Python, to the last bit", () => {
  const found = placesOfPoints(Float32Array.from(vectors.points as number[]), vectors.grid);
  assert.deepEqual(found, places(vectors.places));
});

test("an outline holds the patches that it holds in Python", () => {
  for (const [n, region] of vectors.regions.entries()) {
    const at = places(n % 2 ? vectors.onSteps : vectors.places);
    const outline = (region.outline.length === 4 && typeof region.outline[0] === "number"
      ? { box: region.outline }
      : { corners: region.outline }) as Outline;
    const members = inside(at, outline);
    assert.deepEqual([...members], region.members, region.name);
    const described = describe(members, at, pictures);
    assert.equal(described.centre, region.centre, region.name);
    assert.equal(described.pictures, region.pictures);
    assert.ok(Math.abs(described.spread - region.spread) < 1e-9);
  }
});

test("filters have the contrast and the means that they have in Python", () => {
  const byPatch = vectors.levels as number[];
  const levels = Uint8Array.from(byPatch, (_, at) => byPatch[(at % pictures.length) * 6 + Math.floor(at / pictures.length)]!);
  const all = new Int32Array(6 * LEVELS);
  count(levels, [...pictures.keys()], pictures.length, 6, all);
  for (const { name, members, filters } of vectors.regions) {
    const here = new Int32Array(6 * LEVELS);
    count(levels, members, pictures.length, 6, here);
    const found = contrasts(here, all, vectors.scale, members.length, pictures.length);
    const pairs = [["mean", "mean"], ["meanElsewhere", "mean_elsewhere"], ["fires", "fires"],
      ["firesElsewhere", "fires_elsewhere"], ["contrast", "contrast"]] as const;
    for (const [ours, theirs] of pairs) {
      found.forEach((row, channel) => {
        assert.ok(Math.abs(row[ours]! - filters[theirs][channel]) < 1e-9, `${name}: ${ours} of ${channel}`);
      });
    }
    assert.equal(found[5]!.contrast, 0.5, "a dead filter tells nothing apart");
  }
});

test("of a whole plane nothing is elsewhere", () => {
  const here = Int32Array.from({ length: LEVELS }, () => 1);
  const [found] = contrasts(here, here, [2], LEVELS, LEVELS);
  assert.deepEqual([found!.meanElsewhere, found!.firesElsewhere, found!.contrast], [null, null, 0.5]);
});

test("filters are sorted by what is asked for, equals by channel; a patch's strongest are those above zero", () => {
  const row = (channel: number, mean: number, contrast: number) =>
    ({ channel, mean, contrast, meanElsewhere: 0, fires: 1, firesElsewhere: 1 });
  const rows = [row(0, 1, 0.5), row(1, 3, 0.5), row(2, 2, 0.9)];
  assert.deepEqual(sorted(rows, "contrast").map((each) => each.channel), [2, 0, 1]);
  assert.deepEqual(sorted(rows, "mean").map((each) => each.channel), [1, 2, 0]);
  assert.deepEqual(strongest(Uint8Array.of(0, 4, 2, 9), [1, 1, 2, 0], 3), [[1, 4], [2, 4]]);
});

test("a lasso is at most 32 corners on eighths of a cell, and its address says where they are", () => {
  const line = Array.from({ length: 700 }, (_, n): Corner => {
    const turn = (n / 700) * 2 * Math.PI;
    return [40 + 30 * Math.cos(turn) + Math.sin(9 * turn), 40 + 20 * Math.sin(turn)];
  });
  const corners = simplify(line, 8);
  assert.ok(corners.length > 20 && corners.length <= 32, `${corners.length}`);
  assert.ok(corners.flat().every((value) => Number.isInteger(value * 8)));
  assert.deepEqual(readPolygon(writePolygon(corners)), corners);
});

test("a lasso keeps the area that was drawn", () => {
  const square: Corner[] = [[1, 1], [1.02, 3], [1, 5], [3, 5.01], [5, 5], [5, 1], [3, 1]];
  assert.deepEqual(simplify(square, 8), [[1, 1], [1, 5], [5, 5], [5, 1]]);
  assert.deepEqual(simplify([[1, 1], [1.01, 1], [1, 1.02]], 8), [], "a click surrounds nothing");
  assert.deepEqual(simplify([[-9, -9], [9999, 0], [0, 9999]], 8), [[0, 0], [511.875, 0], [0, 511.875]]);
});

test("long planes have coarser corners", () => {
  assert.deepEqual([stepsOf(40, 38), stepsOf(511, 20), stepsOf(512, 20), stepsOf(20, 2000)], [8, 8, 4, 2]);
});

test("a box has whole cells on planes of cells, and no box has no inside", () => {
  assert.deepEqual(boxOf([3.4, 5.2], [1.2, 2.9], 1), [1, 2, 4, 6]);
  assert.deepEqual(boxOf([-3, 1.01], [1.24, 2.9], 10), [0, 1, 1.3, 2.9]);
  assert.equal(boxOf([1, 1], [1, 3], 1), null);
});

test("patches stand in the middle of their cells", () => {
  const found = placesOfCells(Int32Array.of(2, -1, 0, 1), 2, 3);
  assert.deepEqual([[...found.x], [...found.y]], [[0.5, 1.5, 0.5], [1.5, 1.5, 0.5]]);
});
