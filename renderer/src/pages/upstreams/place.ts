import { go, linkTo } from "../../shell/pages.ts";

/** What lies over the list, by the address's end. A name holds neither a slash nor begins with a dot. */
export type UpstreamsPlace =
  | { readonly kind: "list" }
  | { readonly kind: "new" }
  | { readonly kind: "duplicate"; readonly of: string }
  | { readonly kind: "edit"; readonly name: string }
  | { readonly kind: "import" };

/** @param rest what follows `#/upstreams/`. */
export function placeOf(rest: string): UpstreamsPlace {
  if (rest === "") return { kind: "list" };
  if (rest === "new") return { kind: "new" };
  if (rest === "import") return { kind: "import" };
  if (rest.startsWith("new/")) return { kind: "duplicate", of: rest.slice(4) };
  return { kind: "edit", name: rest.startsWith("./") ? rest.slice(2) : rest };
}

/** Upstreams that are called like a place of ours have an address all the same. */
function restOf(place: UpstreamsPlace): string {
  switch (place.kind) {
    case "list":
      return "";
    case "duplicate":
      return `new/${place.of}`;
    case "edit":
      return place.name === "new" || place.name === "import" ? `./${place.name}` : place.name;
    default:
      return place.kind;
  }
}

export function linkToUpstreams(place: UpstreamsPlace): string {
  return linkTo("upstreams", restOf(place));
}

export function goUpstreams(place: UpstreamsPlace): void {
  go("upstreams", restOf(place));
}
