import assert from "node:assert/strict";
import { test } from "node:test";
import type { StudyData } from "../src/data";
import { find, rank } from "../src/find";

const layer = (name: string, channels: number, filters = true) => ({ name, channels, filters });
const STUDY = {
  pictures: { classes: ["coffee", "toffee c4_1", "<b>bold</b>"] },
  networks: [
    { name: "vgg16", title: "VGG-16", layers: [layer("c4_1", 512), layer("c4_10", 64), layer("p4", 512, false)] },
    { name: "alexnet", title: "AlexNet", layers: [layer("c4_1", 256), layer("features.28", 10)] },
  ],
} as unknown as StudyData;
const ROWS = [
  { picture: 0, name: "coffee/001.jpg", label: 0 },
  { picture: 1, name: "x/coffee.jpg", label: null },
  { picture: 2, name: `${"long".repeat(100)}.jpg`, label: 2 },
];

const words = (query: string) => find(STUDY, query, ROWS).map(({ kind, text, of }) => `${kind} ${text} ${of}`);

test("a layer's name finds the layers of that name first, then those that begin so", () => {
  assert.deepEqual(words("c4_1"), ["layer c4_1 VGG-16", "layer c4_1 AlexNet", "layer c4_10 VGG-16", "class toffee c4_1 class"]);
});

test("a name and a number find filters, where there are so many", () => {
  assert.deepEqual(words("c4_1 84").slice(0, 2), ["filter c4_1 84 VGG-16", "filter c4_1 84 AlexNet"]);
  assert.deepEqual(words("C4_1:300"), ["filter c4_1 300 VGG-16"]);
  assert.deepEqual(words("alexnet c4_1 84"), ["filter c4_1 84 AlexNet"]);
  assert.deepEqual(words("vgg-16 c4_1 84"), ["filter c4_1 84 VGG-16"]);
  assert.deepEqual(words("p4 1"), []);
  assert.deepEqual(words("_1 84"), []);
  assert.deepEqual(find(STUDY, "c4_1 84", ROWS)[0]?.target, { page: "filter", network: "vgg16", layer: "c4_1", channel: 84 });
});

test("the last number counts where a name ends in one", () => {
  assert.deepEqual(words("features.28 9"), ["filter features.28 9 AlexNet"]);
  assert.deepEqual(words("features.28"), ["layer features.28 AlexNet"]);
});

test("pictures and classes are found by any part, whole names first", () => {
  assert.deepEqual(words("coffee"), ["class coffee class", "picture coffee/001.jpg coffee", "picture x/coffee.jpg picture"]);
  assert.deepEqual(words(" BOLD "), ["class <b>bold</b> class"]);
});

test("nothing finds nothing, and no more than asked for is found", () => {
  assert.deepEqual(words("  "), []);
  assert.deepEqual(words("zebra"), []);
  assert.equal(find(STUDY, "c", ROWS, 2).length, 2);
});

test("names are ranked by where they hold the query", () => {
  assert.deepEqual([rank("c4", "c4"), rank("c4_1", "c4"), rank("a.c4", "c4"), rank("xc4", "c4"), rank("x", "c4")], [0, 1, 2, 3, null]);
});
