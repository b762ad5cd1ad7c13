// A filter in the list: its number, how strong and how rare it is, its patches beside their reconstructions.
import type { RefObject } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { fires, isDrawn, topPatches } from "../filters";
import { Patch, Reconstruction, type OfFilter } from "../parts/patches";
import { to } from "../state";
import { figure, percent } from "../words";

export type Shown = "both" | "patches" | "reconstructions";

/** Whether an element is near what is seen of the page; pictures of others are not drawn. */
function useNear(): [RefObject<HTMLElement | null>, boolean] {
  const element = useRef<HTMLElement>(null);
  const [near, setNear] = useState(false);
  useEffect(() => {
    if (element.current === null) return;
    const watcher = new IntersectionObserver((entries) => setNear(entries[entries.length - 1]?.isIntersecting ?? false), { rootMargin: "600px 0px" });
    watcher.observe(element.current);
    return () => watcher.disconnect();
  }, []);
  return [element, near];
}

function Half({ of, kind }: { of: OfFilter; kind: "patches" | "reconstructions" }) {
  const patches = topPatches(of.filters, of.channel);
  const Piece = kind === "patches" ? Patch : Reconstruction;
  const drawn = kind === "patches" || isDrawn(of.filters, of.channel);
  return (
    <span class={kind === "patches" ? "half" : "half zero"}>
      {patches.map((patch) => (
        <Piece key={patch.rank} of={of} patch={patch} />
      ))}
      {drawn || patches.length === 0 ? null : <span class="over">not drawn</span>}
    </span>
  );
}

function Halves({ of, show, blink }: { of: OfFilter; show: Shown; blink: boolean }) {
  const swapped = show === "patches" ? "reconstructions" : "patches";
  if (show !== "both") return <Half of={of} kind={blink ? swapped : show} />;
  return (
    <>
      <Half of={of} kind={blink ? "reconstructions" : "patches"} />
      <Half of={of} kind={blink ? "patches" : "reconstructions"} />
    </>
  );
}

/** "max 120, fires at 21.0 %"; of a dead filter, that it never fires. */
export function strength(of: OfFilter): string {
  const share = fires(of.filters, of.channel);
  const max = of.filters.shard.max[of.channel] ?? 0;
  if (max <= 0 && topPatches(of.filters, of.channel, 1).length === 0) return "never fires";
  return share === null ? `max ${figure(max)}` : `max ${figure(max)}, fires at ${percent(share, 1)}`;
}

export function Card(props: { of: OfFilter; show: Shown; blink: boolean; lit: boolean; onHover: (channel: number | null) => void }) {
  const { of, show, lit } = props;
  const [element, near] = useNear();
  const words = strength(of);
  const dead = words === "never fires";
  return (
    <a
      ref={element as RefObject<HTMLAnchorElement>}
      class={`card${lit ? " lit" : ""}`}
      href={to({ page: "filter", network: of.network.name, layer: of.layer.name, channel: of.channel })}
      data-channel={of.channel}
      onMouseEnter={() => props.onHover(of.channel)}
      onMouseLeave={() => props.onHover(null)}
    >
      <span class="head">
        <b>
          <span class="unseen">Filter </span>
          {of.channel}
        </b>
        <span>{words}</span>
      </span>
      <span class={show === "both" ? "pair" : "pair single"}>{near && !dead ? <Halves of={of} show={show} blink={props.blink} /> : null}</span>
    </a>
  );
}
