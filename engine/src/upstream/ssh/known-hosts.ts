/**
 * The known_hosts format of OpenSSH (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT"): text in, entries out. No I/O here.
 */
import { createHash, createHmac, timingSafeEqual } from "node:crypto";

export interface KnownHost {
  /** `@revoked`, `@cert-authority`, or neither. */
  readonly marker: "plain" | "revoked" | "cert-authority";
  /** The host field as it stands: names, patterns and negations with commas, or one hashed name. */
  readonly hosts: string;
  readonly keyType: string;
  /** The public key as it goes over the wire (RFC 4253 §6.6). */
  readonly key: Buffer;
  readonly file: string;
  /** Counted from 1. */
  readonly line: number;
}

/** Reads every entry of a file; lines that are comments, empty or not understood are passed over, as OpenSSH does. */
export function parseKnownHosts(text: string, file: string): KnownHost[] {
  const entries: KnownHost[] = [];
  for (const [index, raw] of text.split(/\r?\n/).entries()) {
    const fields = raw.trim().split(/[ \t]+/);
    if (fields[0] === "" || fields[0]!.startsWith("#")) continue;
    const marker = markerOf(fields[0]!);
    if (marker === undefined) continue;
    if (marker !== "plain") fields.shift();
    const [hosts, keyType, encoded] = fields;
    if (hosts === undefined || keyType === undefined || encoded === undefined) continue;
    const key = Buffer.from(encoded, "base64");
    if (keyTypeOf(key) !== keyType) continue;
    entries.push({ marker, hosts, keyType, key, file, line: index + 1 });
  }
  return entries;
}

function markerOf(field: string): KnownHost["marker"] | undefined {
  switch (field) {
    case "@revoked":
      return "revoked";
    case "@cert-authority":
      return "cert-authority";
    default:
      return field.startsWith("@") ? undefined : "plain";
  }
}

/** A line for a file of this format, with its line feed. */
export function formatKnownHost(name: string, key: Buffer): string {
  return `${name} ${keyTypeOf(key) ?? "unknown"} ${key.toString("base64")}\n`;
}

/** The name under which a host is looked up: `host`, or `[host]:port` where the port is not 22. */
export function knownHostsName(host: string, port: number): string {
  const name = host.toLowerCase();
  return port === 22 ? name : `[${name}]:${port}`;
}

/** True where the entry speaks of this name: hashed (`|1|salt|hash`), a pattern list, or both kinds of neither. */
export function matchesHost(entry: KnownHost, name: string): boolean {
  if (entry.hosts.startsWith("|")) return matchesHashed(entry.hosts, name);
  let matched = false;
  for (const pattern of entry.hosts.toLowerCase().split(",")) {
    const negated = pattern.startsWith("!");
    if (!matchesPattern(negated ? pattern.slice(1) : pattern, name)) continue;
    // One negated match settles it, whatever else matches.
    if (negated) return false;
    matched = true;
  }
  return matched;
}

function matchesHashed(field: string, name: string): boolean {
  const [, version, salt, hash] = field.split("|");
  if (version !== "1" || salt === undefined || hash === undefined) return false;
  const expected = Buffer.from(hash, "base64");
  const actual = createHmac("sha1", Buffer.from(salt, "base64")).update(name).digest();
  return expected.length === actual.length && timingSafeEqual(expected, actual);
}

/** `*` and `?` as in ssh_config(5), PATTERNS. Linear in the text for each star, so that no pattern can stall us. */
function matchesPattern(pattern: string, text: string): boolean {
  let p = 0;
  let t = 0;
  let star = -1;
  let resume = 0;
  while (t < text.length) {
    if (p < pattern.length && pattern[p] === "*") {
      star = p++;
      resume = t;
    } else if (p < pattern.length && (pattern[p] === "?" || pattern[p] === text[t])) {
      p++;
      t++;
    } else if (star !== -1) {
      p = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (pattern[p] === "*") p++;
  return p === pattern.length;
}

/** The type that a public key names in its first field, or undefined where it is malformed. */
export function keyTypeOf(key: Buffer): string | undefined {
  if (key.length < 4) return undefined;
  const length = key.readUInt32BE(0);
  if (length === 0 || length > 64 || key.length < 4 + length) return undefined;
  return key.toString("latin1", 4, 4 + length);
}

/** As `ssh-keygen -l` prints it. */
export function fingerprint(key: Buffer): string {
  return `SHA256:${createHash("sha256").update(key).digest("base64").replace(/=+$/, "")}`;
}
