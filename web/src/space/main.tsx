import { planeCommand } from "../commands";
import type { SpaceRoute } from "../address";
import { offer } from "../lazy";
import { Note } from "../parts/note";
import { useLoaded } from "../shards";
import { route, study } from "../state";
import { loadSpace } from "./model";
import { SpaceView } from "./page";
import { Planes } from "./planes";

/** The layer whose plane is shown, if the address names none: the first that has one. */
function firstLayer(at: SpaceRoute): { network: string; layer: string } | null {
  if (at.network !== null && at.layer !== null) return { network: at.network, layer: at.layer };
  const networks = study().networks.filter(({ name }) => at.network === null || name === at.network);
  const all = networks.flatMap(({ name, layers }) => layers.filter(({ space }) => space).map((layer) => ({ network: name, layer: layer.name })));
  return all[0] ?? null;
}

function has({ network, layer }: { network: string; layer: string }): boolean {
  return study().networks.some(({ name, layers }) => name === network && layers.some((one) => one.name === layer && one.space));
}

function SpacePage() {
  const at = route.value;
  if (at.page !== "space") return null;
  const place = firstLayer(at);
  if (place === null || !has(place)) return <None layer={place?.layer ?? null} network={place?.network ?? null} />;
  return <Loading key={`${place.network} ${place.layer}`} place={place} route={at} />;
}

function Loading({ place, route }: { place: { network: string; layer: string }; route: SpaceRoute }) {
  const space = useLoaded(`${place.network} ${place.layer}`, () => loadSpace(place.network, place.layer));
  const beside = route.beside && has(route.beside) ? route.beside : null;
  const other = useLoaded(beside && `${beside.network} ${beside.layer}`, () => loadSpace(beside!.network, beside!.layer));
  const waits = beside !== null && !other.value && !other.error;
  if (space.value && !waits) return <SpaceView space={space.value} other={(beside && other.value) || null} route={route} />;
  return <main class="page">{space.error ? <Note warns>{space.error}</Note> : <p class="soft">Reading the plane of {place.layer}…</p>}</main>;
}

function None({ network, layer }: { network: string | null; layer: string | null }) {
  const { name, networks } = study();
  const owner = networks.find((one) => network === null || one.name === network);
  const wanted = layer ?? owner?.layers.findLast(({ kind }) => kind === "conv2d")?.name;
  return (
    <main class="page" id="content" tabIndex={-1}>
      <h1>Space</h1>
      <Note command={owner && wanted ? planeCommand(name, owner.name, wanted) : undefined}>
        {layer ? `${layer} of ${network} has no plane in this study.` : "No layer of this study has a plane."} This makes one:
      </Note>
      <Planes network={null} layer={null} />
    </main>
  );
}

offer("space", SpacePage);
