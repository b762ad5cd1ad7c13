import assert from "node:assert/strict";
import { test } from "node:test";
import { deflateRawSync } from "node:zlib";
import type { Packed } from "../src/data";
import { load, register, unpack, unpackAll, url } from "../src/shards";

function pack(dtype: Packed["dtype"], array: ArrayBufferView, shape: number[]): Packed {
  const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
  return { dtype, shape, data: deflateRawSync(bytes).toString("base64") };
}

test("arrays of every kind come back", async () => {
  const arrays: [Packed["dtype"], Uint8Array | Int16Array | Int32Array | Float32Array][] = [
    ["u1", Uint8Array.of(0, 1, 254, 255)],
    ["i2", Int16Array.of(-32768, -1, 0, 32767)],
    ["i4", Int32Array.of(-2147483648, -1, 0, 2147483647)],
    ["f4", Float32Array.of(-1.5, 0, 3.4e38, Number.NaN)],
  ];
  for (const [dtype, array] of arrays) assert.deepEqual(await unpack(pack(dtype, array, [2, 2])), array);
});

test("empty and large arrays come back", async () => {
  assert.deepEqual(await unpack(pack("f4", new Float32Array(0), [0, 4])), new Float32Array(0));
  const large = Int32Array.from({ length: 300_000 }, (_, at) => (at * 48271) % 2147483647);
  assert.deepEqual(await unpack(pack("i4", large, [300, 1000])), large);
});

test("an array that is not as long as its shape says is refused", async () => {
  await assert.rejects(unpack(pack("u1", Uint8Array.of(1, 2, 3), [2, 2])), /2 x 2 holds 3 values/);
});

test("an array is decoded once, and several by name", async () => {
  const packed = pack("u1", Uint8Array.of(7), [1]);
  assert.equal(unpack(packed), unpack(packed));
  assert.deepEqual(await unpackAll({ a: packed, b: packed }), { a: Uint8Array.of(7), b: Uint8Array.of(7) });
});

test("a registered shard is loaded without a script", async () => {
  register("pictures/7", { names: ["<b>&.jpg"] });
  assert.deepEqual(await load("pictures/7"), { names: ["<b>&.jpg"] });
});

test("paths keep their folders, and no sign of a name acts as one of the URL", () => {
  assert.equal(url("a b/c#d/e?f%.js"), "a%20b/c%23d/e%3Ff%25.js");
});
