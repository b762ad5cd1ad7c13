// The list of keys: what this page answers to, then what every page does.
import { useLayoutEffect, useRef } from "preact/hooks";
import { bindings } from "./keys";
import { helping } from "./state";

export function Help() {
  const dialog = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => dialog.current?.showModal(), []);
  const close = () => (helping.value = false);
  const [every, ...page] = bindings.value;
  return (
    <dialog ref={dialog} class="help" aria-labelledby="help-title" onClose={close} onClick={(event) => event.target === dialog.current && close()}>
      <div class="heading">
        <h2 id="help-title">Keys</h2>
        <button type="button" class="button" onClick={close}>
          Close
        </button>
      </div>
      {[page.flat(), every ?? []].map((set, at) =>
        set.length === 0 ? null : (
          <dl key={at}>
            {set.map(({ label, text }) => (
              <div key={label}>
                <dt>
                  <kbd class="tight">{label}</kbd>
                </dt>
                <dd>{text}</dd>
              </div>
            ))}
          </dl>
        ),
      )}
    </dialog>
  );
}
