import assert from "node:assert/strict";
import { test } from "node:test";
import { CORNERS, format, LONGEST, parse, readPolygon, writePolygon, type Names, type Point, type Route, type View } from "../src/address";

const LONG = "features.".repeat(45);
const NAMES: Names = {
  networks: [
    { name: "vgg16", layers: [{ name: "c4_1" }, { name: "features.28" }] },
    { name: "alexnet", layers: [{ name: "c3" }, { name: "c5" }] },
    ...Array.from({ length: 97 }, (_, at) => ({ name: `n${at}`, layers: [{ name: "x" }] })),
    {
      name: `a "net"/<b>~?&=#.${LONG}`,
      layers: Array.from({ length: 1000 }, (_, at) => ({ name: at === 999 ? `${LONG}%2F/é:,.` : `layer${at}` })),
    },
    { name: "sixteen-signs-16", layers: Array.from({ length: 1000 }, (_, at) => ({ name: `sixteen_sign_${`${at}`.padStart(3, "0")}` })) },
  ],
};
const [WILD, PLAIN] = [NAMES.networks[99]?.name as string, NAMES.networks[100]?.name as string];
const WILD_LAYER = NAMES.networks[99]?.layers[999]?.name as string;

const CORNER: Point[] = Array.from({ length: CORNERS }, (_, at) => [at * 13 + 0.125, 511.875 - at]);
const VIEW: View = [317.5, 999.9, 634.9];

/** Every kind of route, for a network and one of its layers. */
function routes(network: string, layer: string): Route[] {
  const space = { page: "space", network, layer, arrangement: "one", view: VIEW, beside: null, colour: null } as const;
  const filters = { page: "filters", network, layer, sort: "max", show: "both", all: false } as const;
  const compare = { page: "compare", one: network, other: network, measure: "cka" } as const;
  const other = { otherLayer: layer };
  return [
    { page: "overview", picture: 17 },
    { page: "overview", picture: null },
    { page: "pictures", class: null, answers: null, differing: false },
    { page: "pictures", class: 1999, answers: { network, kind: "wrong" }, differing: true },
    { page: "pictures", class: 0, answers: { network, kind: 999 }, differing: false },
    { page: "picture", picture: 0, layer: null, at: null, align: "field", all: false },
    { page: "picture", picture: 99_999, layer: { network, layer }, at: [0, 19], align: "depth", all: true },
    { page: "filters", network: null, layer: null, sort: "max", show: "both", all: false },
    { page: "filters", network, layer: null, sort: "max", show: "both", all: false },
    filters,
    { ...filters, sort: "region", show: "reconstructions", all: true },
    { page: "filter", network, layer, channel: 84 },
    { ...space, network: null, layer: null, arrangement: null, view: null, chosen: null },
    { ...space, network: network, layer: null, arrangement: null, view: null, chosen: null },
    { ...space, chosen: null },
    { ...space, arrangement: "points", chosen: { region: 4 } },
    { ...space, arrangement: "fill", chosen: { box: [0, 0.5, 316.9, 999.9] } },
    { ...space, chosen: { poly: CORNER } },
    { ...space, chosen: { patch: 99_999 } },
    { ...space, chosen: { filter: 511 } },
    { ...space, chosen: { picture: 99_999 } },
    { ...space, chosen: { class: 1999 } },
    { ...space, chosen: { poly: CORNER }, beside: { network, layer, view: null } },
    { ...space, chosen: { poly: CORNER, on: "fill" }, colour: { filter: 2047 }, beside: { network, layer, view: [-20.5, 0, 1200.1] } },
    { ...space, chosen: { region: 1 }, colour: "class" },
    { ...space, arrangement: "points", chosen: { poly: CORNER, on: "one" }, colour: "picture", beside: { network, layer, view: VIEW } },
    { ...compare, one: null, other: null, pair: null },
    { ...compare, pair: null, measure: "neighbours" },
    { ...compare, pair: { layer, channel: null, ...other, otherChannel: null }, measure: "procrustes" },
    { ...compare, pair: { layer, channel: 2047, ...other, otherChannel: 0 } },
    { page: "live" },
  ];
}

const PLACES: [string, string][] = [
  ["vgg16", "c4_1"],
  ["vgg16", "features.28"],
  [WILD, WILD_LAYER],
  [PLAIN, "sixteen_sign_999"],
];

test("every route comes back from its address, which is at most 200 characters", () => {
  for (const [network, layer] of PLACES)
    for (const route of routes(network, layer)) {
      const address = format(route, NAMES);
      assert.ok(address.length <= LONGEST, `${address.length}: ${address}`);
      assert.match(address, /^#\/[\x21-\x7e]*$/);
      assert.deepEqual(parse(address, NAMES), route);
    }
});

test("different routes have different addresses", () => {
  for (const [network, layer] of PLACES) {
    const all = routes(network, layer).map((route) => format(route, NAMES));
    assert.equal(new Set(all).size, all.length);
  }
});

test("addresses are as people would write them", () => {
  const written = routes("vgg16", "c4_1").map((route) => format(route, NAMES));
  assert.equal(written[0], "#/?p=17");
  assert.equal(written[6], "#/p/99999?l=vgg16.c4_1&at=0,19&align=depth&all=1");
  assert.equal(written[11], "#/f/vgg16/c4_1/84");
  assert.equal(written[24], "#/s/vgg16/c4_1?a=one&v=317.5,999.9,634.9&r=1&b=c");
  assert.equal(written[29], "#/c/vgg16/vgg16/c4_1.2047:c4_1.0");
});

test("names of more than 16 signs, or with signs of our own, are written by number", () => {
  const layers = ["sixteen_signs_16", "seventeen_signs_1", "a.b", "a~b"].map((name) => ({ name }));
  const names: Names = { networks: [{ name: "net", layers }] };
  const written = layers.map(({ name }) => format({ page: "filter", network: "net", layer: name, channel: 1 }, names));
  assert.deepEqual(written, ["#/f/net/sixteen_signs_16/1", "#/f/net/~1/1", "#/f/net/~2/1", "#/f/net/~3/1"]);
});

test("an address that means nothing here is missing, and keeps its words", () => {
  for (const address of ["#/x", "#/f/resnet50", "#/f/vgg16/c9", "#/f/~200", "#/p/one", "#/p/-1", "#/s/vgg16/c4_1?v=1,2", "#/f/vgg16/c4_1/1e9", "#/s/vgg16/c4_1?poly=AAA", "#/p/1?at=1", "#/%"])
    assert.deepEqual(parse(address, NAMES), { page: "missing", address });
});

test("no hash is the overview", () => {
  for (const address of ["", "#", "#/", "/"]) assert.deepEqual(parse(address, NAMES), { page: "overview", picture: null });
});

test("polygons lie on eighths of a cell", () => {
  const corners: Point[] = [[0, 0], [3.14, 2.71], [511.9, 600]];
  assert.deepEqual(readPolygon(writePolygon(corners)), [[0, 0], [3.125, 2.75], [511.875, 511.875]]);
  assert.equal(writePolygon(corners).length, 12);
  assert.throws(() => readPolygon("AAAAAAAA"), /no polygon/);
  assert.throws(() => readPolygon("AAAAAAAAAA*A"), /no polygon/);
});
