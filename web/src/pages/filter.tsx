export function Filter() {
  return (
    <main class="page">
      <h1>Filter</h1>
    </main>
  );
}
