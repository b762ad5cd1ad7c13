export function Picture() {
  return (
    <main class="page">
      <h1>Picture</h1>
    </main>
  );
}
