export interface Crumb {
  text: string;
  href?: string;
}

/** Where we are; the last crumb is this page. */
export function Crumbs({ path }: { path: Crumb[] }) {
  return (
    <nav class="crumbs" aria-label="Breadcrumb">
      <ol>
        {path.map(({ text, href }, at) => (
          <li key={at} title={text}>
            {href !== undefined && at < path.length - 1 ? (
              <a href={href}>{text}</a>
            ) : (
              <span aria-current={at === path.length - 1 ? "page" : undefined}>{text}</span>
            )}
          </li>
        ))}
      </ol>
    </nav>
  );
}
