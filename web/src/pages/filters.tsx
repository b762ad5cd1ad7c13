export function Filters() {
  return (
    <main class="page">
      <h1>Filters</h1>
    </main>
  );
}
