/*
 * Requests to the privileged helper and its answers, as bytes. The layout is written down, and parsed, in
 * native/helper/frames.h: the two must agree, and a test runs what is encoded here through the parser there.
 */
import { parseAddress, type AddressWords } from "../router/address.ts";
import { parseNetwork } from "../router/pattern.ts";

export const PROTOCOL_VERSION = 1;
/** Bytes of verb, request id and fields. */
const MAX_FRAME = 64 * 1024;
const LENGTH_BYTES = 4;
const ANSWER = 0x80;

export const MAX_NETWORKS = 1024;
export const MAX_SOCKETS = 64;

export type AddressFamily = 4 | 6;
export type SocketKind = "stream" | "dgram";

/** Addresses and networks are texts: `10.0.0.1`, `10.0.0.0/8`, `fd00::1/128`. */
export type HelperRequest =
  | { readonly verb: "hello"; readonly version: number }
  | {
      readonly verb: "open";
      /** Lower-case letters and digits, 1 to 11; the system adds a number. */
      readonly name: string;
      /** 1280 to 65,535 bytes. */
      readonly mtu: number;
      /** Asks for a virtio header on each packet, for offloads; the answer says whether there is one. */
      readonly vnetHeader: boolean;
      /** The device's own, 1 to 4, each with its prefix length. */
      readonly addresses: readonly string[];
    }
  | {
      readonly verb: "capture";
      readonly killSwitch: boolean;
      readonly networks: readonly string[];
      readonly excluded: readonly string[];
    }
  | {
      readonly verb: "dns";
      /** 1 to 4 addresses; empty to go back to the machine's own. */
      readonly servers: readonly string[];
      /** Only names below these are asked there, where the system can split them; all, where there are none. */
      readonly domains: readonly string[];
    }
  | {
      readonly verb: "sockets";
      readonly family: AddressFamily;
      readonly kind: SocketKind;
      /** 1 to 64. */
      readonly count: number;
    }
  | { readonly verb: "release"; readonly keepKillSwitch: boolean }
  | { readonly verb: "status" };

/**
 * How the machine's name servers were set: not, per link in systemd-resolved, in /etc/resolv.conf, or as macOS and Windows have
 * it in their own settings.
 */
export type DnsWay = "none" | "resolved" | "file" | "system";

export type HelperAnswer =
  | { readonly verb: "hello"; readonly version: number; readonly build: string }
  | {
      readonly verb: "open";
      readonly name: string;
      readonly index: number;
      readonly mtu: number;
      readonly vnetHeader: boolean;
    }
  | { readonly verb: "capture" }
  | { readonly verb: "dns"; readonly way: DnsWay }
  | { readonly verb: "sockets"; readonly count: number }
  | { readonly verb: "release"; /** What could not be undone. */ readonly problems: readonly string[] }
  | {
      readonly verb: "status";
      /** "" before open. */
      readonly device: string;
      readonly index: number;
      readonly captured: number;
      readonly excluded: number;
      readonly killSwitch: boolean;
      readonly dns: DnsWay;
    };

export type HelperVerb = HelperRequest["verb"];

/** Why the helper refused; a closed list. `unsupported`: this system has no way to do it. */
export type RefusalCode = "malformed" | "version" | "busy" | "forbidden" | "state" | "system" | "unsupported";

export type DecodedFrame =
  | { readonly kind: "answer"; readonly id: number; readonly answer: HelperAnswer }
  | {
      readonly kind: "refusal";
      /** 0 where it answers no request but ends the connection. */
      readonly id: number;
      readonly code: RefusalCode;
      /** The system's error number, or 0. */
      readonly errno: number;
      readonly sentence: string;
    };

const VERBS: readonly HelperVerb[] = ["hello", "open", "capture", "dns", "sockets", "release", "status"];
const REFUSALS: readonly RefusalCode[] = [
  "malformed",
  "version",
  "busy",
  "forbidden",
  "state",
  "system",
  "unsupported",
];
const DNS_WAYS: readonly DnsWay[] = ["none", "resolved", "file", "system"];

/**
 * A whole frame with its length.
 * @throws {SyntaxError} for an address, a network, a name or a count that no frame can carry.
 */
export function encodeRequest(id: number, request: HelperRequest): Buffer {
  const fields = new FrameWriter();
  fields.u8(VERBS.indexOf(request.verb) + 1);
  fields.u32(id);
  writeFields(fields, request);
  return fields.frame();
}

function writeFields(fields: FrameWriter, request: HelperRequest): void {
  switch (request.verb) {
    case "hello":
      fields.u16(request.version);
      return;
    case "open":
      fields.text(request.name);
      fields.u16(request.mtu);
      fields.flag(request.vnetHeader);
      fields.u8(request.addresses.length);
      for (const address of request.addresses) fields.hostInNetwork(address);
      return;
    case "capture":
      fields.flag(request.killSwitch);
      for (const networks of [request.networks, request.excluded]) {
        if (networks.length > MAX_NETWORKS)
          throw new SyntaxError(`there are ${networks.length} networks; the helper takes ${MAX_NETWORKS}`);
        fields.u16(networks.length);
        for (const text of networks) {
          const { address, bits } = parseNetwork(text);
          fields.address(address);
          fields.u8(bits);
        }
      }
      return;
    case "dns":
      fields.flag(request.servers.length > 0);
      fields.u8(request.servers.length);
      for (const server of request.servers) fields.address(readAddress(server));
      fields.u8(request.domains.length);
      for (const domain of request.domains) fields.text(domain);
      return;
    case "sockets":
      fields.u8(request.family);
      fields.flag(request.kind === "dgram");
      fields.u8(request.count);
      return;
    case "release":
      fields.flag(request.keepKillSwitch);
      return;
    case "status":
      return;
  }
}

/**
 * Reads a frame without its length.
 * @throws {SyntaxError} for one that is no answer of this version.
 */
export function decodeFrame(frame: Buffer): DecodedFrame {
  const fields = new FrameReader(frame);
  const number = fields.u8();
  const id = fields.u32();
  const code = fields.u8();
  if (code !== 0) {
    const refusal = REFUSALS[code - 1];
    if (refusal === undefined) throw new SyntaxError(`the helper refused with an unknown code, ${code}`);
    const [errno, sentence] = [fields.u32(), fields.text()];
    fields.end();
    return { kind: "refusal", id, code: refusal, errno, sentence };
  }
  const verb = VERBS[(number ^ ANSWER) - 1];
  if (verb === undefined) throw new SyntaxError(`the helper answered with an unknown verb, ${number}`);
  const answer = readAnswer(verb, fields);
  fields.end();
  return { kind: "answer", id, answer };
}

function readAnswer(verb: HelperVerb, fields: FrameReader): HelperAnswer {
  switch (verb) {
    case "hello":
      return { verb, version: fields.u16(), build: fields.text() };
    case "open":
      return {
        verb,
        name: fields.text(),
        index: fields.u32(),
        mtu: fields.u16(),
        vnetHeader: fields.u8() === 1,
      };
    case "capture":
      return { verb };
    case "dns":
      return { verb, way: readWay(fields) };
    case "sockets":
      return { verb, count: fields.u8() };
    case "release":
      return { verb, problems: Array.from({ length: fields.u8() }, () => fields.text()) };
    case "status":
      return {
        verb,
        device: fields.text(),
        index: fields.u32(),
        captured: fields.u16(),
        excluded: fields.u16(),
        killSwitch: fields.u8() === 1,
        dns: readWay(fields),
      };
  }
}

function readWay(fields: FrameReader): DnsWay {
  const way = DNS_WAYS[fields.u8()];
  if (way === undefined) throw new SyntaxError("the helper told of an unknown way to set name servers");
  return way;
}

function readAddress(text: string): AddressWords {
  const address = parseAddress(text);
  if (address === undefined || text.includes("%")) throw new SyntaxError(`"${text}" is no IP address`);
  return address;
}

class FrameWriter {
  readonly #bytes = Buffer.alloc(LENGTH_BYTES + MAX_FRAME);
  #size = LENGTH_BYTES;

  u8(value: number): void {
    this.#size = this.#bytes.writeUInt8(inRange(value, 0xff), this.#size);
  }

  u16(value: number): void {
    this.#size = this.#bytes.writeUInt16LE(inRange(value, 0xffff), this.#size);
  }

  u32(value: number): void {
    this.#size = this.#bytes.writeUInt32LE(inRange(value, 0xffffffff), this.#size);
  }

  flag(value: boolean): void {
    this.u8(value ? 1 : 0);
  }

  text(value: string): void {
    const size = Buffer.byteLength(value);
    this.u8(size);
    this.#size += this.#bytes.write(value, this.#size);
  }

  address(words: AddressWords): void {
    this.u8(words.length === 1 ? 4 : 6);
    for (const word of words) this.#size = this.#bytes.writeUInt32BE(word, this.#size);
  }

  hostInNetwork(text: string): void {
    const [host, bits = ""] = text.split("/") as [string, string?];
    const address = readAddress(host);
    if (!/^\d{1,3}$/.test(bits) || Number(bits) > address.length * 32)
      throw new SyntaxError(`"${text}" is no address with a prefix length; write 10.0.0.1/32`);
    this.address(address);
    this.u8(Number(bits));
  }

  frame(): Buffer {
    this.#bytes.writeUInt32LE(this.#size - LENGTH_BYTES);
    return Buffer.from(this.#bytes.subarray(0, this.#size));
  }
}

function inRange(value: number, most: number): number {
  if (Number.isInteger(value) && value >= 0 && value <= most) return value;
  throw new SyntaxError(`${value} is not a number from 0 to ${most}`);
}

class FrameReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  u8(): number {
    return this.#take(1).readUInt8();
  }

  u16(): number {
    return this.#take(2).readUInt16LE();
  }

  u32(): number {
    return this.#take(4).readUInt32LE();
  }

  text(): string {
    return this.#take(this.u8()).toString();
  }

  end(): void {
    if (this.#at !== this.#bytes.length)
      throw new SyntaxError("the helper's answer is longer than it should be");
  }

  #take(size: number): Buffer {
    if (this.#at + size > this.#bytes.length)
      throw new SyntaxError("the helper's answer ends within a field");
    this.#at += size;
    return this.#bytes.subarray(this.#at - size, this.#at);
  }
}
