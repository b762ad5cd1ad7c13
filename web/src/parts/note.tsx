import type { ComponentChildren } from "preact";

/** What is missing and why; `command` is what makes it. */
export function Note(props: { children: ComponentChildren; command?: string | undefined; warns?: boolean }) {
  return (
    <p class={props.warns ? "note warns" : "note"}>
      {props.children}
      {props.command ? <code>{props.command}</code> : null}
    </p>
  );
}
