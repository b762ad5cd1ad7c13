// The data of the pages: shards under data/, each a classic script that registers its value, so that they load from
// a double-clicked file as well as from a server.
import { signal, type Signal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import type { Packed } from "./data";

export type Unpacked = Uint8Array | Int16Array | Int32Array | Float32Array;

/** What is known of something that loads: nothing yet, its value, or why there is none. */
export interface Loaded<T> {
  value?: T;
  error?: string;
}

const registered = new Map<string, unknown>();
const loading = new Map<string, Promise<unknown>>();
const unpacked = new WeakMap<Packed, Promise<Unpacked>>();

/** What a shard calls when it has been loaded. */
export function register(path: string, value: unknown): void {
  registered.set(path, value);
}

/** A path as part of a URL: names may hold any sign. */
export function url(path: string): string {
  return path.split("/").map(encodeURIComponent).join("/");
}

/** Runs a script of this site once; rejects if it cannot be read. */
export function script(address: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const element = document.createElement("script");
    element.src = address;
    element.onload = () => resolve();
    element.onerror = () => reject(new Error(`${address} could not be read; export the study again`));
    document.head.append(element);
  });
}

async function read(path: string): Promise<unknown> {
  await script(`data/${url(path)}.js`);
  if (!registered.has(path)) throw new Error(`data/${path}.js does not register ${path}; export the study again`);
  return registered.get(path);
}

/** The value of a shard, by its path below data/ without ".js". A failed load is tried again when asked for again. */
export function load<T>(path: string): Promise<T> {
  if (registered.has(path)) return Promise.resolve(registered.get(path) as T);
  let promise = loading.get(path);
  if (promise === undefined) {
    promise = read(path);
    promise.catch(() => loading.delete(path));
    loading.set(path, promise);
  }
  return promise as Promise<T>;
}

function bytes(text: string): Uint8Array<ArrayBuffer> {
  const letters = atob(text);
  const all = new Uint8Array(letters.length);
  for (let at = 0; at < letters.length; at++) all[at] = letters.charCodeAt(at);
  return all;
}

async function inflate(packed: Packed): Promise<Unpacked> {
  const stream = new Blob([bytes(packed.data)]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  const buffer = await new Response(stream).arrayBuffer();
  const kinds = { u1: Uint8Array, i2: Int16Array, i4: Int32Array, f4: Float32Array };
  const array = new kinds[packed.dtype](buffer);
  const size = packed.shape.reduce((product, length) => product * length, 1);
  if (array.length !== size) throw new Error(`an array of ${packed.shape.join(" x ")} holds ${array.length} values`);
  return array;
}

/** The values of a packed array, in row order. Decoded once. */
export function unpack(packed: Packed): Promise<Unpacked> {
  let promise = unpacked.get(packed);
  if (promise === undefined) {
    promise = inflate(packed);
    unpacked.set(packed, promise);
  }
  return promise;
}

/** Several packed arrays at once, by name. */
export async function unpackAll<K extends string>(packed: Record<K, Packed>): Promise<Record<K, Unpacked>> {
  const names = Object.keys(packed) as K[];
  const values = await Promise.all(names.map((name) => unpack(packed[name])));
  return Object.fromEntries(names.map((name, at) => [name, values[at]])) as Record<K, Unpacked>;
}

/** What `make` gives, as it comes: made anew when `key` changes; null: nothing is wanted. */
export function useLoaded<T>(key: string | null, make: () => Promise<T>): Loaded<T> {
  const state: Signal<Loaded<T>> = useMemo(() => signal({}), [key]);
  useEffect(() => {
    if (key === null) return;
    make().then(
      (value) => (state.value = { value }),
      (error: unknown) => (state.value = { error: error instanceof Error ? error.message : String(error) }),
    );
  }, [key]);
  return state.value;
}

/** A shard, as it comes; null: none is wanted. */
export function useShard<T>(path: string | null): Loaded<T> {
  return useLoaded<T>(path, () => load<T>(path as string));
}
