import type { ComponentChildren } from "preact";

/** A key of the keyboard. */
export function Key({ children }: { children: ComponentChildren }) {
  return <kbd aria-hidden="true">{children}</kbd>;
}

export interface Choice<T extends string> {
  value: T;
  label: string;
  /** Key that chooses it, shown beside the label. */
  hint?: string;
  /** Why it cannot be chosen. */
  off?: string | undefined;
}

/** One of a few choices; `label` names the group to screen readers. */
export function Segmented<T extends string>(props: {
  label: string;
  choices: Choice<T>[];
  value: T;
  onPick: (value: T) => void;
}) {
  return (
    <div class="segmented" role="group" aria-label={props.label}>
      {props.choices.map((choice) => (
        <button
          type="button"
          key={choice.value}
          aria-pressed={choice.value === props.value}
          disabled={choice.off !== undefined}
          title={choice.off ?? (choice.label.length > 20 ? choice.label : undefined)}
          onClick={() => props.onPick(choice.value)}
        >
          {choice.label}
          {choice.hint ? <Key>{choice.hint}</Key> : null}
        </button>
      ))}
    </div>
  );
}

/** A button, or with `href` a link that looks like one. */
export function Button(props: {
  children: ComponentChildren;
  href?: string | null;
  onClick?: () => void;
  label?: string;
  hint?: string;
  off?: boolean;
  class?: string;
}) {
  const kind = `button ${props.class ?? ""}`;
  const hint = props.hint ? <Key>{props.hint}</Key> : null;
  if (props.href !== undefined && props.href !== null && !props.off)
    return (
      <a class={kind} href={props.href} aria-label={props.label} onClick={props.onClick}>
        {props.children}
        {hint}
      </a>
    );
  return (
    <button type="button" class={kind} aria-label={props.label} disabled={props.off} onClick={props.onClick}>
      {props.children}
      {hint}
    </button>
  );
}
