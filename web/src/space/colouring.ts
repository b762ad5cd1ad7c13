// Which colours patches have now, and which of them are lit.
import { useMemo } from "preact/hooks";
import type { Chosen, ColourBy } from "../address";
import { heldClasses } from "../pictures";
import { useLoaded } from "../shards";
import { study } from "../state";
import { levelsOf } from "./activations";
import { byGroup, byLevel, type Colours } from "./colours";
import type { Space } from "./model";
import { where } from "./selection";
import { preview } from "./store";

const OVER = 0x99; // how much a colour hides of the patch under it

export interface Shades {
  colours: Colours | null;
  /** Patches that a filter lights up; null: none does. */
  members: Int32Array | null;
}

export interface Shading {
  chosen: Chosen | null;
  /** What the address says that colours tell. */
  colour: ColourBy | null;
  labels: ((picture: number) => number) | null;
  /** Whether it is the first plane: filters are those of its layer. */
  first: boolean;
}

/** Colours by the filter that is pointed at or chosen; else by what the address says. */
export function useColours(space: Space, { chosen, colour, labels, first }: Shading): Shades {
  const own = chosen !== null && "filter" in chosen ? chosen.filter : null;
  const lights = first ? (preview.value ?? own) : null;
  const wanted = lights ?? (first && typeof colour === "object" ? (colour?.filter ?? null) : null);
  const channel = wanted !== null && wanted < space.shard.activations.channels ? wanted : null;
  const key = channel === null ? null : `${space.network.name} ${space.layer.name} ${channel}`;
  const levels = useLoaded(key, () => levelsOf(space, channel as number)).value ?? null;
  const all = lights === null && chosen !== null;
  return useMemo(() => {
    if (levels !== null) return { colours: byLevel(levels, OVER), members: all ? null : where(space.count, (patch) => levels[patch]! > 0) };
    if (colour === "picture") return { colours: byGroup(space.picture, study().pictures.count, OVER), members: null };
    if (colour === "class" && labels) return { colours: byClass(space, labels), members: null };
    return { colours: null, members: null };
  }, [space, levels, colour, labels, all]);
}

/** Colours of classes go by their places among those that have pictures. */
function byClass(space: Space, labels: (picture: number) => number): Colours {
  const places = new Map(heldClasses().map((label, place) => [label, place]));
  return byGroup(Array.from(space.picture, (picture) => places.get(labels(picture)) ?? -1), places.size, OVER);
}
