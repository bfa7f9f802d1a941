/** What went over a network device, recorded by tcpdump. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { findProgram } from "./peer-process.ts";
import { until } from "./tun-client.ts";

const FILE_HEADER = 24;
const RECORD_HEADER = 16;
/** In the file's header; a packet without anything in front (pcap-linktype(7)). */
const LINKTYPE_RAW = 101;
const TCP = 6;
const UDP = 17;

export interface CaptureSummary {
  /** TCP and UDP packets whose checksum was looked at. */
  readonly checked: number;
  /** Those of them that were larger than 1500 bytes. */
  readonly large: number;
  /** The first packets with a wrong checksum, in words. */
  readonly wrong: readonly string[];
  /** Addresses that packets went to or came from. */
  readonly addresses: ReadonlySet<string>;
}

export class Capture {
  readonly #child: ChildProcess;
  readonly #file: string;
  #said = "";

  private constructor(child: ChildProcess, file: string) {
    this.#child = child;
    this.#file = file;
    child.stderr!.setEncoding("utf8").on("data", (text: string) => (this.#said += text));
  }

  /** Records all packets on a device; resolves when it does. */
  static async start(device: string, file: string): Promise<Capture> {
    // What was seen is in the file at the end.
    const args = ["-i", device, "-w", file, "-B", "65536", "-U", "--immediate-mode"];
    const child = spawn(findProgram("tcpdump") ?? "tcpdump", [...args, "-Z", "root"], {
      env: { ...process.env, LD_PRELOAD: groupsKept(dirname(file)) },
      stdio: ["ignore", "ignore", "pipe"],
    });
    const capture = new Capture(child, file);
    await until(() => capture.#said.includes("listening on") || child.exitCode !== null, "tcpdump listens");
    if (child.exitCode !== null) throw new Error(`tcpdump: ${capture.#said}`);
    return capture;
  }

  /** Ends the recording. */
  async stop(): Promise<CaptureSummary> {
    const exited = once(this.#child, "exit");
    this.#child.kill("SIGINT");
    await exited;
    return summarize(readFileSync(this.#file));
  }
}

/**
 * Where root insists on giving its other groups up, which a user namespace forbids: a library without which tcpdump would end.
 * @returns its path.
 */
function groupsKept(folder: string): string {
  const library = join(folder, "groups-kept.so");
  const source = 'extern "C" int initgroups(const char*, unsigned) { return 0; }';
  const { status, stderr } = spawnSync("c++", ["-shared", "-fPIC", "-x", "c++", "-", "-o", library], {
    input: source,
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(`c++: ${stderr}`);
  return library;
}

/** @param bytes a file as tcpdump writes it, of a device without a link layer. */
function summarize(bytes: Buffer): CaptureSummary {
  if (bytes.readUInt32LE(20) !== LINKTYPE_RAW) throw new Error(`link type ${bytes.readUInt32LE(20)}`);
  const wrong: string[] = [];
  const addresses = new Set<string>();
  let checked = 0;
  let large = 0;
  for (let at = FILE_HEADER; at + RECORD_HEADER <= bytes.length;) {
    const [kept, length] = [bytes.readUInt32LE(at + 8), bytes.readUInt32LE(at + 12)];
    const packet = bytes.subarray(at + RECORD_HEADER, at + RECORD_HEADER + kept);
    at += RECORD_HEADER + kept;
    if (packet.length < length) continue;
    const { source, target } = addressesOf(packet);
    addresses.add(source.toString("hex")).add(target.toString("hex"));
    const why = wrongIn(packet);
    if (why === undefined) continue;
    checked++;
    if (length > 1500) large++;
    if (why !== "" && wrong.length < 10)
      wrong.push(`${why} in ${length} bytes from ${source.toString("hex")} to ${target.toString("hex")}`);
  }
  return { checked, large, wrong, addresses };
}

function addressesOf(packet: Buffer): { source: Buffer; target: Buffer } {
  const [at, size] = packet[0]! >> 4 === 4 ? [12, 4] : [8, 16];
  return {
    source: packet.subarray(at, at + size),
    target: packet.subarray(at + size, at + 2 * size),
  };
}

/**
 * What is wrong with a packet's checksums, "" for nothing, undefined for one without a TCP or UDP checksum. One that is left to
 * the device holds the sum of the pseudo-header alone; that is right too, as it must be for the device to complete it.
 */
function wrongIn(packet: Buffer): string | undefined {
  const ipv4 = packet[0]! >> 4 === 4;
  const head = ipv4 ? (packet[0]! & 15) * 4 : 40;
  if (ipv4 && sumOf(packet.subarray(0, head)) !== 0xffff) return "a wrong IPv4 header checksum";
  if (ipv4 && (packet.readUInt16BE(6) & 0x3fff) !== 0) return undefined;
  const protocol = ipv4 ? packet[9]! : packet[6]!;
  if (protocol !== TCP && protocol !== UDP) return undefined;
  const transport = packet.subarray(head);
  const { source, target } = addressesOf(packet);
  const pseudo = sumOf(Buffer.concat([source, target]), protocol + transport.length);
  const found = transport.readUInt16BE(protocol === TCP ? 16 : 6);
  if (protocol === UDP && found === 0) return ipv4 ? "" : "no UDP checksum over IPv6";
  const whole = sumOf(transport, pseudo);
  return whole === 0xffff || found === pseudo ? "" : `a wrong checksum of protocol ${protocol}`;
}

/** The Internet checksum's sum (RFC 1071), not complemented. */
function sumOf(bytes: Buffer, sum = 0): number {
  const even = bytes.length & ~1;
  for (let i = 0; i < even; i += 2) sum += (bytes[i]! << 8) | bytes[i + 1]!;
  if (even < bytes.length) sum += bytes[even]! << 8;
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return sum;
}

/** An address as CaptureSummary.addresses has it. */
export function addressKey(address: string): string {
  if (!address.includes(":")) return Buffer.from(address.split(".").map(Number)).toString("hex");
  const [head = "", tail = ""] = address.split("::");
  const words = (text: string) => (text === "" ? [] : text.split(":"));
  const gap = 8 - words(head).length - words(tail).length;
  const all = [...words(head), ...new Array<string>(gap).fill("0"), ...words(tail)];
  return all.map((word) => word.padStart(4, "0")).join("");
}
