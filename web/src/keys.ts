// Keys: each page says which ones it answers to and what they do, in words for the list of keys.
import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

export interface Binding {
  /** As KeyboardEvent.key; "Shift+" before it where shift is held. */
  keys: string[];
  /** As shown in the list of keys. */
  label: string;
  text: string;
  run: (key: string, event: KeyboardEvent) => void;
  /** When the key is let go. */
  release?: () => void;
}

/** What answers to keys now: the last set that knows a key is asked. */
export const bindings = signal<Binding[][]>([]);

function named(event: KeyboardEvent): string {
  const arrow = event.key.startsWith("Arrow");
  return event.shiftKey && arrow ? `Shift+${event.key}` : event.key;
}

function typing(event: KeyboardEvent): boolean {
  const target = event.target;
  if (!(target instanceof HTMLElement)) return false;
  return target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName);
}

function found(event: KeyboardEvent): Binding | undefined {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return undefined;
  if (typing(event) || document.querySelector("dialog[open]") !== null) return undefined;
  const key = named(event);
  return bindings.peek().flat().findLast((binding) => binding.keys.includes(key));
}

globalThis.addEventListener?.("keydown", (event) => {
  const binding = found(event);
  if (binding === undefined || (event.repeat && binding.release !== undefined)) return;
  event.preventDefault();
  binding.run(named(event), event);
});
globalThis.addEventListener?.("keyup", (event) => {
  for (const binding of bindings.peek().flat()) if (binding.keys.includes(named(event))) binding.release?.();
});

/** Answers to keys as long as the component is shown. Handlers may change from one drawing to the next.
 *  Keys of `everywhere` give way to those of a page.
 */
export function useKeys(now: Binding[], everywhere = false): void {
  const latest = useRef(now);
  latest.current = now;
  useEffect(() => {
    const shown = latest.current.map((binding, at): Binding => {
      const current = () => latest.current[at] as Binding;
      const released = binding.release === undefined ? {} : { release: () => current().release?.() };
      return { ...binding, run: (key, event) => current().run(key, event), ...released };
    });
    bindings.value = everywhere ? [shown, ...bindings.peek()] : [...bindings.peek(), shown];
    return () => {
      bindings.value = bindings.peek().filter((set) => set !== shown);
    };
  }, [now.map((binding) => binding.keys.join(" ")).join("|")]);
}
