/** Upstreams that this one may be reached through: not itself, and none that leads back to it. */
export function possibleVia(
  name: string,
  upstreams: readonly { readonly name: string; readonly via?: string | undefined }[],
): string[] {
  const viaOf = new Map(upstreams.map((one) => [one.name, one.via]));
  const leadsBack = (start: string) => {
    const seen = new Set<string>();
    for (let at: string | undefined = start; at !== undefined && !seen.has(at); at = viaOf.get(at)) {
      if (at === name) return true;
      seen.add(at);
    }
    return false;
  };
  return upstreams.map((one) => one.name).filter((one) => one !== "direct" && !leadsBack(one));
}
