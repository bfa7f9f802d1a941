/** An IPv4-mapped IPv6 address (RFC 4291 §2.5.5.2) as the IPv4 address it stands for; anything else as it is. */
export function plainHost(host: string): string {
  if (!host.startsWith("::")) return host;
  const mapped = /^::ffff:(?:(\d+\.\d+\.\d+\.\d+)|([0-9a-f]{1,4}):([0-9a-f]{1,4}))$/i.exec(host);
  if (!mapped) return host;
  if (mapped[1] !== undefined) return mapped[1];
  const [high, low] = [Number.parseInt(mapped[2]!, 16), Number.parseInt(mapped[3]!, 16)];
  return `${high >> 8}.${high & 0xff}.${low >> 8}.${low & 0xff}`;
}
