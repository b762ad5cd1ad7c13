// What stands around every page: mark, tabs, search, theme.
import type { ComponentChildren } from "preact";
import type { Route } from "./address";
import { Finder } from "./finder";
import { Help } from "./help";
import { useKeys } from "./keys";
import { finding, go, helping, pickTheme, route, study, theme, to } from "./state";

export interface Tab {
  name: string;
  target: Route;
  /** Routes that belong to it. */
  pages: Route["page"][];
  icon: string;
}

const FILTERS = { page: "filters", network: null, layer: null, sort: "max", show: "both", all: false } as const;
const SPACE = { page: "space", network: null, layer: null, arrangement: null, view: null, chosen: null } as const;
const COMPARE = { page: "compare", one: null, other: null, pair: null, measure: "cka" } as const;
const PICTURES = { page: "pictures", class: null, answers: null, differing: false } as const;

/** The pages in their order: keys 1 to 5, and 6 where a network answers. */
export function tabs(): Tab[] {
  const all: Tab[] = [
    { name: "Overview", target: { page: "overview", picture: null }, pages: ["overview"], icon: "M3 15V9M8 15V3M13 15v-4M18 15V6" },
    { name: "Pictures", target: PICTURES, pages: ["pictures", "picture"], icon: "M2.5 3.5h15v13h-15zM2.5 13.5l5-5 4 4 2-2 4 4" },
    { name: "Filters", target: FILTERS, pages: ["filters", "filter"], icon: "M3 3h5.5v5.5H3zM11.5 3H17v5.5h-5.5zM3 11.5h5.5V17H3zM11.5 11.5H17V17h-5.5z" },
    { name: "Space", target: SPACE, pages: ["space"], icon: "M3 2.5v14.5h14.5M7 6h2v2H7zM13 4h2v2h-2zM7.5 12h2v2h-2zM13.5 11h2v2h-2z" },
    { name: "Compare", target: COMPARE, pages: ["compare"], icon: "M3 3h14v14H3zM3 10h14M10 3v14M4 4l12 12" },
  ];
  const live: Tab = { name: "Live", target: { page: "live" }, pages: ["live"], icon: "M10 2.5v15M4 6.5v7M16 6.5v7" };
  return study().live ? [...all, live] : all;
}

function Tabs({ kind }: { kind: string }) {
  return (
    <nav class={kind} aria-label="Pages">
      {tabs().map((tab) => (
        <a key={tab.name} href={to(tab.target)} aria-current={tab.pages.includes(route.value.page) ? "page" : undefined}>
          <svg viewBox="0 0 20 20" width="20" height="20" aria-hidden="true">
            <path d={tab.icon} />
          </svg>
          {tab.name}
        </a>
      ))}
    </nav>
  );
}

function Search() {
  return (
    <button type="button" class="search" onClick={() => (finding.value = true)}>
      <svg viewBox="0 0 20 20" width="18" height="18" aria-hidden="true">
        <circle cx="8.5" cy="8.5" r="5.5" />
        <path d="M12.5 12.5 18 18" />
      </svg>
      <span>Layer, filter, picture, class</span>
      <kbd aria-hidden="true">/</kbd>
    </button>
  );
}

export function otherTheme(): void {
  pickTheme(theme.value === "dark" ? "light" : "dark");
}

function Header() {
  return (
    <header class="header">
      <button type="button" class="skip" onClick={skip}>
        Skip to the page
      </button>
      <a class="mark" href={to({ page: "overview", picture: null })}>
        <svg viewBox="0 0 20 20" width="20" height="20" aria-hidden="true">
          <path d="M1 1h18v18H1zM5 5h14v14H5z" />
          <path class="full" d="M9.5 9.5H16V16H9.5z" />
        </svg>
        layerscope
      </a>
      <Tabs kind="tabs" />
      <Search />
      <button type="button" class="icon" aria-label={theme.value === "dark" ? "Light theme" : "Dark theme"} onClick={otherTheme}>
        <svg viewBox="0 0 20 20" width="18" height="18" aria-hidden="true">
          <circle cx="10" cy="10" r="7" />
          <path class="full" d="M10 3a7 7 0 0 1 0 14z" />
        </svg>
      </button>
    </header>
  );
}

/** A link without "#" is left to the browser; ours change the page without a jump in history. */
function follow(event: MouseEvent): void {
  const link = (event.target as Element).closest("a");
  const plain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey;
  const address = link?.getAttribute("href");
  if (!plain || event.defaultPrevented || address === null || address === undefined || !address.startsWith("#/")) return;
  event.preventDefault();
  goTo(address);
}

export function goTo(address: string): void {
  go({ page: "missing", address });
}

/** One crumb up from where we are. */
function above(at: Route): Route {
  switch (at.page) {
    case "filter":
      return { ...FILTERS, network: at.network, layer: at.layer };
    case "picture":
      return PICTURES;
    case "filters":
      return at.layer === null ? { page: "overview", picture: null } : { ...FILTERS, network: at.network };
    default:
      return { page: "overview", picture: null };
  }
}

function useEverywhere(): void {
  const all = tabs();
  useKeys([
    { keys: ["/"], label: "/", text: "find a layer, filter, picture or class", run: () => (finding.value = true) },
    {
      keys: all.map((_, at) => String(at + 1)),
      label: `1 to ${all.length}`,
      text: "the pages",
      run: (key) => go((all[Number(key) - 1] as Tab).target),
    },
    { keys: ["Escape"], label: "Esc", text: "up one crumb", run: () => go(above(route.value)) },
    { keys: ["t"], label: "t", text: "light or dark", run: otherTheme },
    { keys: ["?"], label: "?", text: "this list", run: () => (helping.value = true) },
  ], true);
}

export function Shell({ children }: { children: ComponentChildren }) {
  useEverywhere();
  return (
    <div class="shell" onClick={follow}>
      <Header />
      {children}
      <Tabs kind="bottom" />
      {finding.value ? <Finder /> : null}
      {helping.value ? <Help /> : null}
    </div>
  );
}

function skip(): void {
  document.querySelector<HTMLElement>("main")?.focus();
}
