// Names of networks and layers as they stand in addresses.

/** What addresses need to know of a study; StudyData is one. */
export interface Names {
  networks: { name: string; layers: { name: string }[] }[];
}

const PLAIN = /^[A-Za-z0-9_-]{1,16}$/;

/** Writes names; `short`: every one by its number. */
export class Writer {
  constructor(
    private names: Names,
    readonly short: boolean,
  ) {}

  private name(name: string, among: { name: string }[]): string {
    if (!this.short && PLAIN.test(name)) return name;
    const number = among.findIndex((one) => one.name === name);
    return number < 0 ? encodeURIComponent(name) : `~${number}`;
  }

  network(name: string): string {
    return this.name(name, this.names.networks);
  }

  layer(network: string, name: string): string {
    return this.name(name, this.names.networks.find((one) => one.name === network)?.layers ?? []);
  }
}

/** Reads names; throws what is no name of the study. */
export class Reader {
  constructor(private names: Names) {}

  private name<T extends { name: string }>(text: string, among: T[]): T {
    const found = text.startsWith("~") ? among[whole(text.slice(1))] : among.find((one) => one.name === text);
    if (found === undefined) throw new Error(`no ${text}`);
    return found;
  }

  network(text: string): string {
    return this.name(text, this.names.networks).name;
  }

  layer(network: string, text: string): string {
    return this.name(text, this.name(network, this.names.networks).layers).name;
  }
}

/** A number as addresses have it; throws what is none. */
export function whole(text: string | undefined): number {
  if (text === undefined || !/^\d{1,9}$/.test(text)) throw new Error(`no number: ${text}`);
  return Number(text);
}
