import assert from "node:assert/strict";
import { test } from "node:test";
import { brief, head } from "../src/brief";
import { confusions } from "../src/confusions";

function network(...names: string[]) {
  return { layers: names.map((name) => ({ name })) };
}

test("what most names begin with is left out, whole parts of it", () => {
  const mobile = network("features.0.0", "features.1.conv.0.0", "features.10", "features.18.0", "adaptive_avg_pool2d", "classifier.1");
  assert.equal(head(mobile), "features.");
  assert.deepEqual(mobile.layers.map(({ name }) => brief(mobile, name)), [".0.0", ".1.conv.0.0", ".10", ".18.0", "adaptive_avg_pool2d", "classifier.1"]);
  const tokens = network("conv_proj", "encoder.layers.encoder_layer_0.ln_1", "encoder.layers.encoder_layer_0.mlp.0", "encoder.layers.encoder_layer_11", "heads");
  assert.equal(head(tokens), "encoder.layers.encoder_layer_");
  assert.equal(brief(tokens, "encoder.layers.encoder_layer_11"), ".11");
  assert.equal(brief(tokens, "encoder.ln"), "encoder.ln");
});

test("names without a common beginning stay as they are", () => {
  for (const plain of [network("c1", "p1", "c2"), network("a.1", "b.1"), network("features"), network(), network("a.1", "a.2", "b", "c")]) {
    assert.equal(head(plain), "");
    assert.deepEqual(plain.layers.map(({ name }) => brief(plain, name)), plain.layers.map(({ name }) => name));
  }
});

test("confusions are counted one by one, most often first", () => {
  const labels = [0, 0, 0, 1, 1, 2, -1, 2];
  const first = [5, 6, 6, 6, 5, -1, 6, 7];
  const right = [5, 5, 5, 6, 6, 7, 7, -1];
  assert.deepEqual(confusions(labels, first, right), [
    { label: 0, output: 6, count: 2 },
    { label: 1, output: 5, count: 1 },
  ]);
  assert.deepEqual(confusions([], [], []), []);
});
