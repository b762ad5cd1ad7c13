import { figure } from "../words";

/** What black and white mean about zero, which is grey. */
export function Scale({ white }: { white: number }) {
  return (
    <span class="scale small soft">
      {`\u2212${figure(white)}`}
      <i aria-label="from black over grey to white" role="img" />
      {`+${figure(white)}`}
    </span>
  );
}
