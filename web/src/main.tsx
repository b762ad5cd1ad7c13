// The first script: sets up what shards and lazy scripts call, reads the study, draws the page of the address.
import { effect } from "@preact/signals";
import { render } from "preact";
import { modules } from "shared:all";
import type { StudyData } from "./data";
import { Lazy } from "./lazy";
import { Filter } from "./pages/filter";
import { Filters } from "./pages/filters";
import { Overview } from "./pages/overview";
import { Picture } from "./pages/picture";
import { Pictures } from "./pages/pictures";
import { Note } from "./parts/note";
import { load, register } from "./shards";
import { Shell } from "./shell";
import { loaded, route, theme } from "./state";

function Page() {
  const at = route.value;
  switch (at.page) {
    case "overview":
      return <Overview />;
    case "pictures":
      return <Pictures />;
    case "picture":
      return <Picture />;
    case "filters":
      return <Filters />;
    case "filter":
      return <Filter />;
    case "missing":
      return <Missing address={at.address} />;
    default:
      return <Lazy name={at.page} />;
  }
}

function Missing({ address }: { address: string }) {
  return (
    <main class="page">
      <h1>Nothing is here</h1>
      <Note>
        This study has nothing at <code>{address}</code>; it may be the address of another study.
      </Note>
    </main>
  );
}

async function start(): Promise<void> {
  const root = document.getElementById("app") as HTMLElement;
  try {
    loaded.value = await load<StudyData>("study");
  } catch (error) {
    render(<Note warns>{(error as Error).message}</Note>, root);
    return;
  }
  document.title = `${loaded.value.name} · layerscope`;
  render(
    <Shell>
      <Page />
    </Shell>,
    root,
  );
}

Object.assign(globalThis, { layerscope: { register, modules } });
effect(() => {
  document.documentElement.dataset.theme = theme.value;
});
document.addEventListener("DOMContentLoaded", () => void start());
