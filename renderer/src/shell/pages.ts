import { useSyncExternalStore } from "react";
import { type PageName, pages } from "./page-names.ts";

/** The page and what follows it (`#/upstreams/bastion`): the address is the state, so Back and reload work. */
export interface Place {
  readonly page: PageName;
  readonly rest: string;
}

export function usePlace(): Place {
  const hash = useSyncExternalStore(
    (changed) => {
      addEventListener("hashchange", changed);
      return () => removeEventListener("hashchange", changed);
    },
    () => location.hash,
  );
  const [, name = "", rest = ""] = /^#\/([a-z]*)\/?(.*)$/.exec(hash) ?? [];
  const page = pages.find((one) => one === name) ?? "home";
  return { page, rest: decoded(rest) };
}

export function linkTo(page: PageName, rest = ""): string {
  return rest === "" ? `#/${page}` : `#/${page}/${encodeURIComponent(rest)}`;
}

export function go(page: PageName, rest = ""): void {
  location.hash = linkTo(page, rest);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}
