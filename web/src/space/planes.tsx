// The planes of a study, to go from one to another.
import { colour, study, to } from "../state";

export function Planes({ network, layer }: { network: string | null; layer: string | null }) {
  const all = study().networks.flatMap((one) => one.layers.filter(({ space }) => space).map(({ name }) => ({ network: one, layer: name })));
  const rest = all.filter((one) => one.network.name !== network || one.layer !== layer);
  if (!rest.length) return null;
  return (
    <p class="others">
      <span class="soft small">{rest.length < all.length ? "Other planes" : "Planes"}</span>
      {rest.map((one) => (
        <a
          key={`${one.network.name} ${one.layer}`}
          class={colour(one.network.name)}
          href={to({ page: "space", network: one.network.name, layer: one.layer, arrangement: null, view: null, chosen: null })}
        >
          {`${one.network.title} ${one.layer}`}
        </a>
      ))}
    </p>
  );
}
