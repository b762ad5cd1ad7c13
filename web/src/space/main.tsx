import { offer } from "../lazy";
import { Note } from "../parts/note";

function SpacePage() {
  return (
    <main class="page">
      <h1>Space</h1>
      <Note>This page is not drawn yet.</Note>
    </main>
  );
}

offer("space", SpacePage);
