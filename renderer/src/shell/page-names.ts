/** The pages, in the order of the sidebar. */
export const pages = [
  "home",
  "upstreams",
  "routes",
  "share",
  "connections",
  "logs",
  "metrics",
  "settings",
] as const;
export type PageName = (typeof pages)[number];
