import { compareCommand } from "../commands";
import type { CompareRoute } from "../address";
import type { PairShard } from "../data";
import { offer } from "../lazy";
import { Note } from "../parts/note";
import { useShard } from "../shards";
import { route, study } from "../state";
import { PairOfFilters } from "./filters";
import { Findings } from "./others";
import { ComparePair } from "./page";
import { pairOf, pairPath } from "./pair";

function ComparePage() {
  const at = route.value;
  if (at.page !== "compare") return null;
  const first = study().pairs[0];
  const [one, other] = at.one !== null && at.other !== null ? [at.one, at.other] : [first?.one, first?.other];
  const path = one !== undefined && other !== undefined ? pairPath(one, other) : null;
  return path === null ? <None route={at} /> : <Loading key={path} path={path} route={at} />;
}

function Loading({ path, route }: { path: string; route: CompareRoute }) {
  const { value, error } = useShard<PairShard>(path);
  const pair = value && pairOf(value);
  if (!pair) return <main class="page">{error ? <Note warns>{error}</Note> : <p class="soft">Reading the comparison…</p>}</main>;
  const sides = route.pair;
  const filters = sides !== null && (sides.channel !== null || sides.otherChannel !== null);
  return filters ? <PairOfFilters pair={pair} route={route} sides={sides} /> : <ComparePair pair={pair} route={route} />;
}

/** Why there is nothing to compare, and what makes it. */
function None({ route }: { route: CompareRoute }) {
  const { name, networks, pairs } = study();
  const named = route.one !== null && pairs.length > 0;
  const command = networks.length > 1 ? compareCommand(name) : "";
  return (
    <main class="page compare" id="content" tabIndex={-1}>
      <h1>Compare</h1>
      {named ? <Note>{`${route.one} and ${route.other} were not compared, or the other way round.`}</Note> : null}
      {!named && networks.length > 1 ? <Note command={command}>The networks of this study were not compared. This does it; export the study with --comparison then:</Note> : null}
      {networks.length > 1 ? null : <Note>This study has one network; a comparison takes two.</Note>}
      <Findings />
    </main>
  );
}

offer("compare", ComparePage);
