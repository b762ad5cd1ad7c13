import { offer } from "../lazy";
import { Note } from "../parts/note";

function LivePage() {
  return (
    <main class="page">
      <h1>Live</h1>
      <Note>This page is not drawn yet.</Note>
    </main>
  );
}

offer("live", LivePage);
