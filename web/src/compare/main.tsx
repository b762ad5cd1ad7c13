import { offer } from "../lazy";
import { Note } from "../parts/note";

function ComparePage() {
  return (
    <main class="page">
      <h1>Compare</h1>
      <Note>This page is not drawn yet.</Note>
    </main>
  );
}

offer("compare", ComparePage);
