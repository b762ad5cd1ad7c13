// A patch and its reconstruction with every pixel seen.
import { useLayoutEffect, useRef } from "preact/hooks";
import type { TopPatch } from "../filters";
import { Patch, Reconstruction, type OfFilter } from "../parts/patches";
import { figure } from "../words";

export function Loupe({ of, patch, onClose }: { of: OfFilter; patch: TopPatch; onClose: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => dialog.current?.showModal(), []);
  const white = patch.white === null ? "" : `; white is ${figure(patch.white)}`;
  return (
    <dialog ref={dialog} class="loupe" aria-label="Loupe" onClose={onClose} onClick={() => dialog.current?.close()}>
      <div class="true">
        <Patch of={of} patch={patch} label={`Patch ${patch.rank + 1}`} />
        <Reconstruction of={of} patch={patch} label={`Reconstruction ${patch.rank + 1}`} />
      </div>
      <p class="small soft">{`Rank ${patch.rank + 1}, activation ${figure(patch.value)}, unit ${patch.row}, ${patch.column}${white}`}</p>
    </dialog>
  );
}
