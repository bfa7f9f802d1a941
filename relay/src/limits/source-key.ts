/**
 * The address as sources are told apart: IPv4 as it is, IPv4 within IPv6 as IPv4 (RFC 4291 §2.5.5.2), and of IPv6 the first
 * 64 bits, for whoever has one address has all of its /64. What is no address is a source of its own.
 */
export function sourceKey(address: string): string {
  if (!address.includes(":")) return address;
  const text = address.split("%", 1)[0]!.toLowerCase();
  const dotted = /^(?:::ffff:|0:0:0:0:0:ffff:)(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  if (dotted) return dotted[1]!;
  const [head = [], tail = []] = text.split("::").map((side) => (side === "" ? [] : side.split(":")));
  // An IPv4 tail stands for two groups, and is beyond the first four in any case.
  const size = head.length + tail.length + (text.includes(".") ? 1 : 0);
  const gap = text.includes("::") ? Math.max(0, 8 - size) : 0;
  const groups = [...head, ...new Array<string>(gap).fill("0"), ...tail].map((group) =>
    Number.parseInt(group, 16),
  );
  const isMapped =
    groups.length === 8 && groups[5] === 0xffff && groups.slice(0, 5).every((group) => group === 0);
  if (isMapped) {
    const [high, low] = [groups[6]!, groups[7]!];
    return [high >> 8, high & 255, low >> 8, low & 255].join(".");
  }
  return `${groups
    .slice(0, 4)
    .map((group) => group.toString(16))
    .join(":")}::/64`;
}
