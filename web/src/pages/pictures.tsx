export function Pictures() {
  return (
    <main class="page">
      <h1>Pictures</h1>
    </main>
  );
}
