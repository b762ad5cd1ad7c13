declare module "shared:all" {
  /** Modules that lazy scripts share, by name; see build.mjs. */
  export const modules: Record<string, unknown>;
}
