import assert from "node:assert/strict";
import { test } from "node:test";
import type { FieldData, LayerData } from "../src/data";
import { alignByDepth, alignByField, centreOf, frameOf, frameWidth, inside, misfit, outside, unitAt, unitBox } from "../src/geometry";

/** The pixels that position `at` of a stack of windows reads along one axis, by walking down the stack. */
function pixels(windows: [kernel: number, stride: number, pad: number][], at: number): number[] {
  let taps = new Set([at]);
  for (const [kernel, stride, pad] of [...windows].reverse()) {
    const next = new Set<number>();
    for (const tap of taps) for (let k = 0; k < kernel; k++) next.add(tap * stride - pad + k);
    taps = next;
  }
  return [...taps].sort((a, b) => a - b);
}

/** Size, stride and centre of the first position, by the pixels of the first two. */
function axis(windows: [number, number, number][]): [number, number, number] {
  const [first, second] = [pixels(windows, 0), pixels(windows, 1)];
  const [low, high] = [first[0] as number, first[first.length - 1] as number];
  return [high - low + 1, (second[0] as number) - low, (low + high) / 2];
}

const STACKS: [number, number, number][][] = [
  [[3, 1, 1]],
  [[11, 4, 2]],
  [[11, 4, 2], [3, 2, 0], [5, 1, 2], [3, 2, 0], [3, 1, 1]],
  [[3, 1, 1], [3, 1, 1], [2, 2, 0], [3, 1, 1], [2, 2, 0]],
  [[2, 2, 0]],
  [[1, 1, 0]],
];

function fieldOf(rows: [number, number, number], columns: [number, number, number]): FieldData {
  return { size: [rows[0], columns[0]], stride: [rows[1], columns[1]], start: [rows[2], columns[2]] };
}

test("boxes of units hold the pixels that a walk through the windows finds", () => {
  for (const down of STACKS)
    for (const across of STACKS) {
      const field = fieldOf(axis(down), axis(across));
      for (const [row, column] of [[0, 0], [1, 3], [7, 2]] as const) {
        const [rows, columns] = [pixels(down, row), pixels(across, column)];
        assert.deepEqual(unitBox(field, row, column), {
          top: rows[0],
          left: columns[0],
          bottom: (rows.at(-1) as number) + 1,
          right: (columns.at(-1) as number) + 1,
        });
      }
    }
});

function layerOf(field: FieldData | null, rows: number, columns: number): LayerData {
  return { name: "x", field, rows, columns } as LayerData;
}

test("the unit of a pixel is the one whose centre is nearest", () => {
  for (const stack of STACKS) {
    const field = fieldOf(axis(stack), axis(stack));
    for (let pixel = 0; pixel < 60; pixel++) {
      const distances = Array.from({ length: 9 }, (_, at) => Math.abs(field.start[0] + at * field.stride[0] - pixel));
      const [row] = unitAt(layerOf(field, 9, 9), pixel, 0);
      assert.equal(distances[row], Math.min(...distances));
    }
  }
});

test("a layer without field, and one that sees all everywhere, has one unit", () => {
  assert.deepEqual(unitAt(layerOf(null, 7, 7), 30, 50), [0, 0]);
  const all: FieldData = { size: [224, 224], stride: [0, 0], start: [111.5, 111.5] };
  assert.deepEqual(unitAt(layerOf(all, 1, 1), 30, 50), [0, 0]);
});

test("a pixel at the centre of a unit leads back to the unit", () => {
  for (const stack of STACKS) {
    const field = fieldOf(axis(stack), axis(stack));
    for (let row = 0; row < 6; row++) {
      const [y, x] = centreOf(layerOf(field, 9, 9), [row, 2], 1000, 1000);
      assert.deepEqual(unitAt(layerOf(field, 9, 9), y, x), [row, 2]);
    }
  }
});

test("shares that show nothing are those of pixels counted one by one", () => {
  const length = 6;
  for (let from = -12; from < length; from++)
    for (let size = 1; size < 14; size++) {
      const to = from + size;
      const frame = size > length ? [0, length] : [from, to];
      const pixels = Array.from({ length: Math.min(size, length) }, (_, at) => (frame[0] as number) + at);
      const shown = pixels.filter((pixel) => pixel >= 0 && pixel < length && pixel >= from && pixel < to);
      if (shown.length === 0) continue;
      const before = pixels.filter((pixel) => pixel < (shown[0] as number)).length / pixels.length;
      const after = pixels.filter((pixel) => pixel > (shown.at(-1) as number)).length / pixels.length;
      assert.deepEqual(outside({ top: from, left: 1, bottom: to, right: 3 }, length, 9), { top: before, left: 0, bottom: after, right: 0 });
      assert.deepEqual(outside({ top: 1, left: from, bottom: 3, right: to }, 9, length), { top: 0, left: before, bottom: 0, right: after });
    }
  assert.deepEqual(inside({ top: -3, left: 5, bottom: 7, right: 15 }, 6, 12), { top: 0, left: 5, bottom: 6, right: 12 });
});

test("where a field is larger than the picture, what it does not see of it shows nothing", () => {
  assert.deepEqual(outside({ top: -150, left: 20, bottom: 74, right: 320 }, 100, 200), { top: 0, left: 0.1, bottom: 0.26, right: 0 });
});

test("a frame is the picture along an axis where the field is larger", () => {
  assert.deepEqual(frameOf({ top: -50, left: -2, bottom: 60, right: 30 }, 100, 64), { top: 0, left: -2, bottom: 100, right: 30 });
});

/** All rising choices of `count` out of `of`. */
function* choices(of: number, count: number, from = 0): Generator<number[]> {
  if (count === 0) yield [];
  else for (let at = from; at <= of - count; at++) for (const rest of choices(of, count - 1, at + 1)) yield [at, ...rest];
}

function cost(columns: (number | null)[], reaches: (number | null)[], places: number[]): number {
  return places.reduce((sum, column, at) => sum + misfit(columns[column] ?? null, reaches[at] ?? null), 0);
}

test("a misfit is how many times larger one field is, whichever that is", () => {
  assert.ok(Math.abs(misfit(10, 20) - Math.log(2)) < 1e-12);
  assert.ok(Math.abs(misfit(200, 100) - Math.log(2)) < 1e-12);
  assert.equal(misfit(null, 100), 0);
});

test("no other rising alignment fits better", () => {
  let seed = 1;
  const random = () => (seed = (seed * 48271) % 2147483647) / 2147483647;
  for (let round = 0; round < 200; round++) {
    const columns = Array.from({ length: 1 + Math.floor(random() * 8) }, () => 1 + Math.floor(random() * 200));
    const reaches = Array.from({ length: Math.floor(random() * (columns.length + 1)) }, () =>
      random() < 0.1 ? null : 1 + Math.floor(random() * 200),
    );
    const places = alignByField(columns, reaches);
    assert.ok(places.every((place, at) => at === 0 || place > (places[at - 1] as number)));
    const best = Math.min(...[...choices(columns.length, reaches.length)].map((other) => cost(columns, reaches, other)));
    assert.ok(Math.abs(cost(columns, reaches, places) - best) < 1e-9);
  }
});

test("AlexNet's layers stand under those of VGG-16 that see as much", () => {
  const vgg = [3, 5, 6, 10, 14, 16, 24, 32, 40, 44, 60, 76, 92, 100, 132, 164, 196, 212];
  assert.deepEqual(alignByField(vgg, [11, 19, 51, 67, 99, 131, 163, 195]), [3, 5, 9, 10, 13, 14, 15, 16]);
});

test("by depth, layers reach from the first column to the last", () => {
  assert.deepEqual(alignByDepth(9, 5), [0, 2, 4, 6, 8]);
  assert.deepEqual(alignByDepth(4, 1), [0]);
  assert.deepEqual(alignByDepth(3, 0), []);
  assert.throws(() => alignByDepth(2, 3), /do not fit/);
});

test("where all units see all, a unit is found where it lies among them", () => {
  const all = layerOf({ size: [224, 112], stride: [0, 0], start: [111.5, 55.5] }, 14, 7);
  for (let row = 0; row < 14; row++)
    for (let column = 0; column < 7; column++) {
      const [y, x] = centreOf(all, [row, column], 224, 112);
      assert.deepEqual([y, x], [16 * row + 8, 16 * column + 8]);
      assert.deepEqual(unitAt(all, y, x), [row, column]);
    }
  assert.deepEqual(unitAt(all, 223, 111), [13, 6]);
  assert.deepEqual(unitAt(all, 5000, -5), [13, 0]);
});

test("a panel is as wide as what it shows of a field", () => {
  assert.equal(frameWidth({ top: -3, left: -4, bottom: 8, right: 7 }, 224, 200), 11);
  assert.equal(frameWidth({ top: -30, left: -40, bottom: 280, right: 270 }, 224, 200), 200);
  assert.equal(frameWidth(null, 224, 200), 200);
});
