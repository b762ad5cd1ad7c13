// Every command that the pages show. tests/explorer/test_commands.py reads this file: each parses, and none stands elsewhere.

/** A word of a command, as a shell takes it. */
export function quoted(word: string): string {
  return /^[\w./+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** Makes the plane of a layer. */
export function planeCommand(study: string, network: string, layer: string): string {
  return `layerscope space make ${quoted(study)} --network ${quoted(network)} --layers ${quoted(layer)}`;
}

/** Draws small pictures, chosen ones large, and filters' patches. */
export function pagesCommand(study: string): string {
  return `layerscope pages ${quoted(study)}`;
}

/** Chooses this picture, too. */
export function pictureCommand(study: string, picture: string): string {
  return `layerscope pages ${quoted(study)} --pictures ${quoted(picture)} --add`;
}

/** Draws the reconstructions of all filters. */
export function filtersCommand(study: string): string {
  return `layerscope pages ${quoted(study)} --filters all`;
}

/** Compares the networks of the study. */
export function compareCommand(study: string): string {
  return `layerscope compare ${quoted(study)} --out comparison`;
}

/** Makes one part of a comparison of the study. */
export function partCommand(study: string, part: "rows" | "filters"): string {
  return `layerscope compare ${quoted(study)} --out comparison --part ${part}`;
}

/** Answers pictures that are dropped. */
export function serveCommand(study: string): string {
  return `layerscope serve ${quoted(study)}`;
}
