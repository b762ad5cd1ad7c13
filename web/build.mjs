// node build.mjs           builds the pages into src/layerscope/explorer/page, and fails over the bars on size
// node build.mjs --tests   builds the tests of test/ into web/.tests, for `node --test .tests/*.mjs`
import { build } from "esbuild";
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const WEB = dirname(fileURLToPath(import.meta.url));
const SOURCE = join(WEB, "src");
const PAGE = join(WEB, "..", "src", "layerscope", "explorer", "page");
/** Scripts that are loaded when their page is first entered. */
const LAZY = ["space", "compare", "live"].filter((name) => existsSync(join(SOURCE, name, "main.tsx")));
const PACKAGES = ["preact", "preact/hooks", "preact/jsx-runtime", "@preact/signals"];
/** Kilobytes of 1,000 bytes, compressed by gzip -9. */
const BARS = { "first view": 60, all: 200 };

/** Modules of the first script that lazy ones share: those of src/ and src/parts/ that are no page, and packages. */
function shared() {
  const files = ["", "parts"].flatMap((folder) =>
    readdirSync(join(SOURCE, folder))
      .filter((name) => /\.tsx?$/.test(name) && name !== "main.tsx" && name !== "data.ts")
      .map((name) => join(folder, name.replace(/\.tsx?$/, ""))),
  );
  return [...PACKAGES, ...files];
}

/** The module "shared:all", whose `modules` holds all shared ones by name; set as a global by main.tsx. */
const giving = {
  name: "giving",
  setup(building) {
    building.onResolve({ filter: /^shared:all$/ }, () => ({ path: "all", namespace: "shared" }));
    building.onLoad({ filter: /^all$/, namespace: "shared" }, () => {
      const names = shared();
      const from = (name) => JSON.stringify(PACKAGES.includes(name) ? name : `./${name}`);
      const lines = names.map((name, at) => `import * as m${at} from ${from(name)};`);
      const fields = names.map((name, at) => `${JSON.stringify(name)}: m${at}`);
      return { contents: `${lines.join("\n")}\nexport const modules = {${fields.join(", ")}};`, resolveDir: SOURCE };
    });
  },
};

/** In a lazy script, a shared module is the one that the first script has set as a global. */
const taking = {
  name: "taking",
  setup(building) {
    const names = new Set(shared());
    building.onResolve({ filter: /^(\.|preact|@preact)/ }, (found) => {
      const local = found.path.startsWith(".");
      const name = local ? relative(SOURCE, resolve(found.resolveDir, found.path)) : found.path;
      return names.has(name) ? { path: name, namespace: "taken" } : undefined;
    });
    building.onLoad({ filter: /.*/, namespace: "taken" }, ({ path }) => ({
      contents: `module.exports = layerscope.modules[${JSON.stringify(path)}];`,
    }));
  },
};

const common = {
  bundle: true,
  format: "iife",
  target: "es2022",
  jsx: "automatic",
  jsxImportSource: "preact",
  minify: true,
  legalComments: "eof",
  logLevel: "warning",
};

async function pages() {
  rmSync(PAGE, { recursive: true, force: true });
  mkdirSync(PAGE, { recursive: true });
  await build({ ...common, entryPoints: { app: join(SOURCE, "main.tsx") }, outdir: PAGE, plugins: [giving] });
  await build({ ...common, entryPoints: { app: join(SOURCE, "app.css") }, outdir: PAGE });
  for (const name of LAZY) {
    const entryPoints = { [name]: join(SOURCE, name, "main.tsx") };
    await build({ ...common, entryPoints, outdir: PAGE, plugins: [taking] });
  }
  copyFileSync(join(SOURCE, "index.html"), join(PAGE, "index.html"));
  return weigh();
}

/** Prints the size of each file; whether all bars are held. */
function weigh() {
  const sizes = readdirSync(PAGE)
    .filter((name) => /\.(js|css)$/.test(name))
    .map((name) => [name, gzipSync(readFileSync(join(PAGE, name)), { level: 9 }).length / 1000]);
  const total = (wanted) => sizes.filter(([name]) => wanted(name)).reduce((sum, [, size]) => sum + size, 0);
  const found = { "first view": total((name) => name.startsWith("app.")), all: total(() => true) };
  for (const [name, size] of sizes) console.log(`${name.padEnd(12)} ${size.toFixed(1).padStart(6)} kB`);
  const over = Object.entries(BARS).filter(([name, bar]) => {
    console.log(`${name.padEnd(12)} ${found[name].toFixed(1).padStart(6)} kB of ${bar}`);
    return found[name] > bar;
  });
  for (const [name, bar] of over) console.error(`${name}: more than ${bar} kB gzipped; load what is rarely used later`);
  return over.length === 0;
}

async function tests() {
  const entryPoints = readdirSync(join(WEB, "test"))
    .filter((name) => name.endsWith(".test.ts") || name.endsWith(".test.tsx"))
    .map((name) => join(WEB, "test", name));
  rmSync(join(WEB, ".tests"), { recursive: true, force: true });
  const node = { platform: "node", format: "esm", minify: false, outExtension: { ".js": ".mjs" } };
  await build({ ...common, ...node, entryPoints, outdir: join(WEB, ".tests") });
  return true;
}

const held = process.argv.includes("--tests") ? await tests() : await pages();
process.exitCode = held ? 0 : 1;
