// What all pages know: the study, where we are, the theme, how wide the window is.
import { computed, signal, type Signal } from "@preact/signals";
import { format, parse, type Names, type Route } from "./address";
import type { LayerData, NetworkData, StudyData } from "./data";

export type Theme = "dark" | "light";

/** Null until data/study.js has been read. */
export const loaded = signal<StudyData | null>(null);
export const hash = signal(location.hash);
/** The picture that blocks of layers show where the address names none; null: the first chosen one. */
export const shown = signal<number | null>(null);
/** The pictures of the wall that was looked at last, by number; null: all of them. */
export const walled = signal<number[] | null>(null);
/** Whether the finder, or the list of keys, is open. */
export const finding = signal(false);
export const helping = signal(false);

const NOTHING: Names = { networks: [] };
export const route = computed<Route>(() => parse(hash.value, loaded.value ?? NOTHING));

/** The study; only where pages are drawn, for then it is loaded. */
export function study(): StudyData {
  if (loaded.value === null) throw new Error("no study is loaded");
  return loaded.value;
}

/** The address of a route in this study, for links. */
export function to(target: Route): string {
  return format(target, study());
}

/** Goes to a route: a click adds to the history; what only refines a view (`replace`) does not. */
export function go(target: Route, replace = false): void {
  const address = to(target);
  if (address === location.hash) return;
  if (replace) history.replaceState(null, "", address);
  else history.pushState(null, "", address);
  hash.value = address;
  if (!replace) scrollTo(0, 0);
}

export function network(name: string): NetworkData | undefined {
  return study().networks.find((one) => one.name === name);
}

export function layer(networkName: string, name: string): LayerData | undefined {
  return network(networkName)?.layers.find((one) => one.name === name);
}

/** Which of the colours --net1 to --net4 a network has; more than four share the last ones. */
export function colour(networkName: string): string {
  const at = study().networks.findIndex((one) => one.name === networkName);
  return `net${(Math.max(at, 0) % 4) + 1}`;
}

function media(query: string): Signal<boolean> {
  const list = matchMedia(query);
  const matches = signal(list.matches);
  list.addEventListener("change", (event) => (matches.value = event.matches));
  return matches;
}

/** Whether the phone layout is used. */
export const narrow = media("(max-width: 759px)");
const light = media("(prefers-color-scheme: light)");

function remembered(): Theme | null {
  try {
    const theme = localStorage.getItem("layerscope.theme");
    return theme === "dark" || theme === "light" ? theme : null;
  } catch {
    return null;
  }
}

const picked = signal<Theme | null>(remembered());
/** The theme shown: the one picked before, else the system's. */
export const theme = computed<Theme>(() => picked.value ?? (light.value ? "light" : "dark"));

export function pickTheme(name: Theme): void {
  picked.value = name;
  try {
    localStorage.setItem("layerscope.theme", name);
  } catch {
    // Where nothing may be stored, the theme lasts as long as the page.
  }
}

addEventListener("hashchange", () => (hash.value = location.hash));
addEventListener("popstate", () => (hash.value = location.hash));
