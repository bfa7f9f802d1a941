import { go, linkTo } from "../../shell/pages.ts";

/** What the page shows, by the address's end. A name holds no slash. */
export type SharePlace =
  | { readonly kind: "list" }
  | { readonly kind: "new" }
  | { readonly kind: "edit"; readonly name: string }
  /** Without a name: a relay that is to be added. */
  | { readonly kind: "relay"; readonly name: string | undefined }
  | { readonly kind: "requests"; readonly name: string; readonly request: number | undefined };

/** @param rest what follows `#/share/`. */
export function placeOf(rest: string): SharePlace {
  if (rest === "") return { kind: "list" };
  if (rest === "+") return { kind: "new" };
  const [name = "", what, number] = rest.split("/");
  // No share's name begins so.
  if (name === "@") return { kind: "relay", name: what };
  if (what !== "requests") return { kind: "edit", name };
  return {
    kind: "requests",
    name,
    request: number !== undefined && /^\d+$/.test(number) ? Number(number) : undefined,
  };
}

function restOf(place: SharePlace): string {
  switch (place.kind) {
    case "list":
      return "";
    case "new":
      return "+";
    case "edit":
      return place.name;
    case "relay":
      return place.name === undefined ? "@" : `@/${place.name}`;
    case "requests":
      return `${place.name}/requests${place.request === undefined ? "" : `/${place.request}`}`;
  }
}

export function linkToShares(place: SharePlace): string {
  return linkTo("share", restOf(place));
}

export function goShares(place: SharePlace): void {
  go("share", restOf(place));
}
