import type { NetworkData } from "../data";
import { list, sentence } from "../words";

/** What reconstructions of networks do not know, as the study's figures say it; `named`: of which networks. */
export function Lost({ networks, named = false }: { networks: NetworkData[]; named?: boolean }) {
  const said = [...new Set(networks.map(({ lost }) => lost).filter(Boolean))];
  const whose = (words: string) => list(networks.filter(({ lost }) => lost === words).map(({ title }) => title));
  return (
    <>
      {said.map((words) => (
        <p key={words} class="lost small soft">{named ? `${whose(words)}: ${words}.` : sentence(words)}</p>
      ))}
    </>
  );
}
