// Pages with a script of their own, loaded when they are first entered.
import { signal } from "@preact/signals";
import type { ComponentType } from "preact";
import { useEffect } from "preact/hooks";
import { Note } from "./parts/note";
import { script } from "./shards";

const offered = signal<Record<string, ComponentType>>({});
const failed = signal<Record<string, string>>({});

/** What a lazy script calls with its page. */
export function offer(name: string, page: ComponentType): void {
  offered.value = { ...offered.value, [name]: page };
}

async function fetchPage(name: string): Promise<void> {
  try {
    await script(`${name}.js`);
  } catch (error) {
    failed.value = { ...failed.value, [name]: (error as Error).message };
  }
}

/** The page that NAME.js offers. */
export function Lazy({ name }: { name: string }) {
  const Page = offered.value[name];
  useEffect(() => {
    if (offered.peek()[name] === undefined) void fetchPage(name);
  }, [name]);
  if (Page !== undefined) return <Page />;
  const error = failed.value[name];
  return <main class="page">{error === undefined ? <p class="soft">Loading…</p> : <Note warns>{error}</Note>}</main>;
}
