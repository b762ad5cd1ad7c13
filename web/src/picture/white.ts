// What white means in a network's whole-layer reconstructions.
import type { NetworkData, ReconstructionShard } from "../data";
import { load, unpack, useLoaded } from "../shards";

async function whites(network: NetworkData): Promise<(picture: number, layer: string) => number | null> {
  const shard = await load<ReconstructionShard>(`${network.folder}/reconstructions`);
  const values = await unpack(shard.white);
  return (picture, layer) => {
    const [row, column] = [shard.pictures.indexOf(picture), shard.layers.indexOf(layer)];
    const value = row < 0 || column < 0 ? 0 : (values[row * shard.layers.length + column] ?? 0);
    return value > 0 ? value : null;
  };
}

/** The value of white in a layer's reconstruction of a picture; null until it is known, and where none is drawn. */
export function useWhite(network: NetworkData, picture: number, layer: string): number | null {
  const { value } = useLoaded(network.strip === null ? null : network.folder, () => whites(network));
  return value ? value(picture, layer) : null;
}
