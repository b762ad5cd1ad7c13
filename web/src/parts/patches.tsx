// A filter's patches and reconstructions: from its picture, else cut from the pictures of the set.
import type { LayerData, NetworkData } from "../data";
import { filterPicture, isDrawn, panelOf, type LayerFilters, type TopPatch } from "../filters";
import { Cut, Outside, Panel } from "./tile";

export interface OfFilter {
  network: NetworkData;
  layer: LayerData;
  filters: LayerFilters;
  channel: number;
}

export function Patch({ of, patch, label }: { of: OfFilter; patch: TopPatch; label?: string | undefined }) {
  const { network, layer, filters, channel } = of;
  const panel = panelOf(filters, channel);
  const { view } = network;
  if (panel === null || patch.rank >= panel.columns)
    return <Cut picture={patch.picture} view={view} field={patch.field} label={label} />;
  const src = filterPicture(network, layer, filters.shard, channel);
  return <Panel {...{ src, panel, view, label }} rank={patch.rank} row={0} field={patch.field} />;
}

/** On zero; hatched where none is drawn. */
export function Reconstruction({ of, patch, label }: { of: OfFilter; patch: TopPatch; label?: string | undefined }) {
  const { network, layer, filters, channel } = of;
  const panel = panelOf(filters, channel);
  if (panel === null || !isDrawn(filters, channel) || patch.rank >= panel.columns)
    return (
      <span class="panel zero undrawn">{patch.field ? <Outside field={patch.field} view={network.view} zero /> : null}</span>
    );
  const src = filterPicture(network, layer, filters.shard, channel);
  return <Panel src={src} panel={panel} view={network.view} label={label} rank={patch.rank} row={1} field={patch.field} />;
}
