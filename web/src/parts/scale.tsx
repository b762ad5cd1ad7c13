import { figure } from "../words";

/** What black and white mean about zero, which is grey. */
export function Scale({ white }: { white: number }) {
  return (
    <span class="scale small soft" role="img" aria-label={`Black is \u2212${figure(white)}, grey zero, white +${figure(white)}`}>
      {`\u2212${figure(white)}`}
      <i />
      {`+${figure(white)}`}
    </span>
  );
}
