import assert from "node:assert/strict";
import { test } from "node:test";
import type { Plane, Space } from "../src/space/model";
import { partsOf } from "../src/space/tiles";

function plane(name: Plane["name"], cell: number, columns: number, cells: number[]): Plane {
  const data = { cells: { dtype: "i4", shape: [], data: "" }, cell, tile: 64, width: columns * cell, height: (cells.length / columns) * cell } as Plane["data"];
  const cellOf = Int32Array.from(cells, (_, patch) => cells.indexOf(patch));
  return { name, data, rows: cells.length / columns, columns, cells: Int32Array.from(cells), cellOf };
}

/** The filled plane of a large space is shown at half its size; the one-to-one plane is not. */
function space(one: Plane | null, fill: Plane): Space {
  return { network: { folder: "net" }, layer: { folder: "c1" }, planes: { one, fill } } as unknown as Space;
}

test("the parts of a patch's picture fill its square, whatever the cells of the other plane are", () => {
  const one = plane("one-to-one", 48, 3, [0, 1, 2, 3, 4, 5]);
  const fill = plane("fill", 24, 3, [5, 5, 4, 3, 0, 1]);
  for (const held of [space(one, fill), space(null, fill)])
    for (const patch of [0, 1, 3, 4, 5]) {
      const parts = partsOf(held, patch);
      const area = parts.reduce((sum, { span }) => sum + span[0] * span[1], 0);
      assert.ok(Math.abs(area - 1) < 1e-12, `${patch}: ${area}`);
      const side = held.planes.one === null ? 24 : 48;
      for (const { from, size, to, span } of parts) {
        assert.ok(from.every((start, axis) => start >= 0 && start + size[axis]! <= 64));
        assert.ok(to.every((start, axis) => start >= 0 && start + span[axis]! <= 1 + 1e-12));
        assert.deepEqual(span.map((share) => share * side), size);
      }
    }
  assert.equal(partsOf(space(one, fill), 1).length, 2, "the second of three cells of 48 pixels lies on two tiles of 64");
  assert.deepEqual(partsOf(space(null, fill), 2), [], "no plane shows it");
});
