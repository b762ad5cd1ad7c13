import assert from "node:assert/strict";
import { test } from "node:test";
import { withoutZeros } from "../src/top";

test("patches of exactly zero are none of a filter's, and others move up with all that is theirs", () => {
  const top = {
    picture: Int32Array.of(4, 5, 6, 7, 8, 9, 1, -1, -1),
    row: Int32Array.of(0, 1, 2, 3, 4, 5, 6, 0, 0),
    column: Int32Array.of(9, 8, 7, 6, 5, 4, 3, 0, 0),
    value: Float32Array.of(2, 0, -1, 0, 0, 0, 3, 0, 0),
  };
  const boxes = Int32Array.from({ length: 36 }, (_, at) => at);
  withoutZeros(top, boxes, 3);
  assert.deepEqual([...top.picture], [4, 6, -1, -1, -1, -1, 1, -1, -1]);
  assert.deepEqual([top.row[1], top.column[1], top.value[1]], [2, 7, -1]);
  assert.deepEqual([...boxes.slice(4, 8)], [8, 9, 10, 11]);
  assert.doesNotThrow(() => withoutZeros(top, null, 3));
});
