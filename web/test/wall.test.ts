import assert from "node:assert/strict";
import { test } from "node:test";
import { wallOf } from "../src/wall/grid";

test("every square that the window shows is drawn, and not many more", () => {
  for (const count of [0, 1, 39, 40, 100_000])
    for (const width of [90, 376, 1392])
      for (const above of [-400, 0, 555, 2_000_000]) {
        const height = 900;
        const wall = wallOf(count, width, 96, 2, above, height);
        for (let at = 0; at < count; at++) {
          const top = Math.floor(at / wall.across) * wall.step - above;
          if (top + wall.step > 0 && top < height) assert.ok(at >= wall.first && at < wall.end);
        }
        assert.ok(wall.end - wall.first <= wall.across * ((3 * height) / wall.step + 3));
        assert.ok(Math.abs(wall.across * wall.step - width - 2) < 1e-9);
      }
});

test("a wall is as high as its rows", () => {
  assert.deepEqual(wallOf(40, 978, 96, 2, 0, 900), { across: 10, step: 98, height: 390, first: 0, end: 40 });
  assert.equal(wallOf(41, 978, 96, 2, 0, 900).height, 488);
  assert.equal(wallOf(0, 978, 96, 2, 0, 900).height, 0);
});
