import type { ComponentChildren } from "preact";

/** What is missing and why; `command` is what makes it. */
export function Note(props: { children: ComponentChildren; command?: string | undefined; warns?: boolean }) {
  return (
    <p class={props.warns ? "note warns" : "note"}>
      {props.children}
      {props.command ? <Command line={props.command} /> : null}
    </p>
  );
}

/** A command, broken between its words alone: "--filters" would break after its hyphens. */
function Command({ line }: { line: string }) {
  return (
    <code>
      {line.split(" ").map((word, at) => (
        <>
          {at === 0 ? "" : " "}
          <span class="word">{word}</span>
        </>
      ))}
    </code>
  );
}
