// Which colours patches have now, and which of them are lit.
import { useMemo } from "preact/hooks";
import type { Chosen } from "../address";
import { useLoaded } from "../shards";
import { levelsOf } from "./activations";
import { byGroup, byLevel, type Colours } from "./colours";
import type { Space } from "./model";
import { where } from "./selection";
import { colour, preview } from "./store";

const OVER = 0x99; // how much a colour hides of the patch under it

export interface Shades {
  colours: Colours | null;
  /** Patches that a filter lights up; null: no filter is chosen. */
  members: Int32Array | null;
}

/** Colours by the filter that is pointed at or chosen; else by what the tool row says. */
export function useColours(space: Space, chosen: Chosen | null, labels: ((picture: number) => number) | null): Shades {
  const own = chosen !== null && "filter" in chosen ? chosen.filter : null;
  const wanted = preview.value ?? own;
  const channel = wanted !== null && wanted < space.shard.activations.channels ? wanted : null;
  const key = channel === null ? null : `${space.network.name} ${space.layer.name} ${channel}`;
  const levels = useLoaded(key, () => levelsOf(space, channel as number)).value ?? null;
  const kind = colour.value;
  return useMemo(() => {
    if (levels !== null) return { colours: byLevel(levels, OVER), members: where(space.count, (patch) => levels[patch]! > 0) };
    if (kind === "picture") return { colours: byGroup(space.picture, OVER), members: null };
    if (kind === "class" && labels) return { colours: byGroup(Array.from(space.picture, labels), OVER), members: null };
    return { colours: null, members: null };
  }, [space, levels, kind, labels]);
}
