/*
 * DNS messages (RFC 1035 §4) as far as a forwarder has to understand them: where the question and the records lie, what
 * EDNS says (RFC 6891), and answers of our own. What is passed on is passed on as it came, so records are not decoded here.
 * Nothing in this file throws on any bytes, nor takes longer than a pass over them.
 */

export const TYPE = {
  A: 1,
  CNAME: 5,
  SOA: 6,
  PTR: 12,
  AAAA: 28,
  OPT: 41,
  SVCB: 64,
  HTTPS: 65,
  IXFR: 251,
  AXFR: 252,
  ANY: 255,
} as const;

export const CLASS_IN = 1;

export const RCODE = {
  NOERROR: 0,
  FORMERR: 1,
  SERVFAIL: 2,
  NXDOMAIN: 3,
  NOTIMP: 4,
  REFUSED: 5,
  BADVERS: 16,
} as const;

export const HEADER_BYTES = 12;
export const MAX_MESSAGE_BYTES = 65_535;
/** RFC 1035 §2.3.4, the length octets and the root's included. */
const MAX_NAME_BYTES = 255;

/** Bits of the second 16 bits of the header (RFC 1035 §4.1.1, RFC 4035 §3). */
export const FLAG = {
  QR: 0x8000,
  OPCODE: 0x7800,
  AA: 0x0400,
  TC: 0x0200,
  RD: 0x0100,
  RA: 0x0080,
  AD: 0x0020,
  CD: 0x0010,
  RCODE: 0x000f,
} as const;

/** What a message asks. */
export interface Question {
  /** Lower case, without the final dot; the root is "". Bytes that no host name has are written `\DDD` (RFC 1035 §5.1). */
  readonly name: string;
  readonly type: number;
  readonly class: number;
  /** The offset of the first byte after it. */
  readonly end: number;
}

/** One resource record; offsets are from the start of the message. */
export interface ResourceRecord {
  readonly section: "answer" | "authority" | "additional";
  readonly start: number;
  readonly type: number;
  readonly class: number;
  readonly ttlAt: number;
  /** Seconds; one with the highest bit set counts as 0 (RFC 2181 §8). */
  readonly ttl: number;
  readonly dataStart: number;
  readonly dataEnd: number;
}

/** The OPT record (RFC 6891 §6.1.2 and §6.1.3). */
export interface Edns {
  readonly udpSize: number;
  readonly extendedRcode: number;
  readonly version: number;
  /** DNSSEC OK. */
  readonly dnssecOk: boolean;
}

export interface Message {
  readonly bytes: Buffer;
  readonly id: number;
  readonly flags: number;
  readonly question: Question | undefined;
  readonly records: readonly ResourceRecord[];
  readonly edns: Edns | undefined;
}

/** A message with its question. */
export type Asked = Message & { readonly question: Question };

/** @returns undefined for bytes that are no whole message, or that have more than one question or OPT record. */
export function readMessage(bytes: Buffer): Message | undefined {
  if (bytes.length < HEADER_BYTES || bytes.length > MAX_MESSAGE_BYTES) return undefined;
  const questions = bytes.readUInt16BE(4);
  if (questions > 1) return undefined;
  const question = questions === 1 ? readQuestion(bytes) : undefined;
  if (questions === 1 && question === undefined) return undefined;
  const records = readRecords(bytes, question?.end ?? HEADER_BYTES);
  if (records === undefined) return undefined;
  const options = records.filter(({ type }) => type === TYPE.OPT);
  if (options.length > 1 || options.some(({ section }) => section !== "additional")) return undefined;
  return {
    bytes,
    id: bytes.readUInt16BE(0),
    flags: bytes.readUInt16BE(2),
    question,
    records,
    edns: options[0] && readEdns(bytes, options[0]),
  };
}

function readQuestion(bytes: Buffer): Question | undefined {
  // There is nothing before it that a pointer could point to.
  const nameEnd = skipName(bytes, HEADER_BYTES);
  if (nameEnd === undefined || nameEnd + 4 > bytes.length) return undefined;
  const name = readName(bytes, HEADER_BYTES);
  if (name === undefined) return undefined;
  return {
    name,
    type: bytes.readUInt16BE(nameEnd),
    class: bytes.readUInt16BE(nameEnd + 2),
    end: nameEnd + 4,
  };
}

function readRecords(bytes: Buffer, from: number): ResourceRecord[] | undefined {
  const records: ResourceRecord[] = [];
  let offset = from;
  for (const [i, section] of (["answer", "authority", "additional"] as const).entries()) {
    for (let left = bytes.readUInt16BE(6 + 2 * i); left > 0; left--) {
      const nameEnd = skipName(bytes, offset);
      if (nameEnd === undefined || nameEnd + 10 > bytes.length) return undefined;
      const dataStart = nameEnd + 10;
      const dataEnd = dataStart + bytes.readUInt16BE(nameEnd + 8);
      if (dataEnd > bytes.length) return undefined;
      const ttl = bytes.readUInt32BE(nameEnd + 4);
      records.push({
        section,
        start: offset,
        type: bytes.readUInt16BE(nameEnd),
        class: bytes.readUInt16BE(nameEnd + 2),
        ttlAt: nameEnd + 4,
        ttl: ttl > 0x7fffffff ? 0 : ttl,
        dataStart,
        dataEnd,
      });
      offset = dataEnd;
    }
  }
  return records;
}

function readEdns(bytes: Buffer, record: ResourceRecord): Edns {
  return {
    udpSize: record.class,
    extendedRcode: bytes[record.ttlAt]!,
    version: bytes[record.ttlAt + 1]!,
    dnssecOk: (bytes[record.ttlAt + 2]! & 0x80) !== 0,
  };
}

/** @returns the offset after the name as it stands, a pointer not followed; undefined where it is cut short or has a label of an unknown kind. */
function skipName(bytes: Buffer, from: number): number | undefined {
  let offset = from;
  while (offset < bytes.length) {
    const length = bytes[offset]!;
    if (length === 0) return offset + 1;
    if (length >= 0xc0) return offset + 2 <= bytes.length ? offset + 2 : undefined;
    if (length > 63) return undefined;
    offset += 1 + length;
  }
  return undefined;
}

/**
 * Reads a name, pointers followed (RFC 1035 §4.1.4). A pointer must point before the piece of the name that it ends, so that
 * no chain of pointers is without an end.
 * @returns undefined for a name that is longer than names may be, cut short, or points anywhere else.
 */
export function readName(bytes: Buffer, from: number): string | undefined {
  let name = "";
  let total = 1;
  let piece = from;
  let offset = from;
  while (offset < bytes.length) {
    const length = bytes[offset]!;
    if (length === 0) return name;
    if (length >= 0xc0) {
      if (offset + 1 >= bytes.length) return undefined;
      const target = ((length & 0x3f) << 8) | bytes[offset + 1]!;
      if (target >= piece || target < HEADER_BYTES) return undefined;
      piece = offset = target;
      continue;
    }
    total += 1 + length;
    if (length > 63 || total > MAX_NAME_BYTES || offset + 1 + length > bytes.length) return undefined;
    name += (name === "" ? "" : ".") + readLabel(bytes, offset + 1, offset + 1 + length);
    offset += 1 + length;
  }
  return undefined;
}

function readLabel(bytes: Buffer, start: number, end: number): string {
  let label = "";
  for (let i = start; i < end; i++) {
    const byte = bytes[i]!;
    if (byte >= 0x41 && byte <= 0x5a) label += String.fromCharCode(byte + 0x20);
    else if (byte <= 0x20 || byte >= 0x7f || byte === 0x2e || byte === 0x5c)
      label += `\\${String(byte).padStart(3, "0")}`;
    else label += String.fromCharCode(byte);
  }
  return label;
}

/** A name as bytes, uncompressed. @returns undefined for what is no name: a label empty or too long, a letter beyond ASCII. */
export function writeName(name: string): Buffer | undefined {
  if (name === "") return Buffer.from([0]);
  const parts: number[] = [];
  for (const label of name.split(".")) {
    const bytes: number[] = [];
    for (let i = 0; i < label.length; i++) {
      const escaped = label[i] === "\\" ? /^\d{3}/.exec(label.slice(i + 1))?.[0] : undefined;
      const byte = escaped === undefined ? label.charCodeAt(i) : Number(escaped);
      if (byte > (escaped === undefined ? 0x7e : 255)) return undefined;
      bytes.push(byte);
      if (escaped !== undefined) i += 3;
    }
    if (bytes.length === 0 || bytes.length > 63) return undefined;
    parts.push(bytes.length, ...bytes);
  }
  parts.push(0);
  return parts.length > MAX_NAME_BYTES ? undefined : Buffer.from(parts);
}

/** The response code with EDNS's eight higher bits (RFC 6891 §6.1.3). */
export function rcodeOf(message: Message): number {
  return (message.flags & FLAG.RCODE) | ((message.edns?.extendedRcode ?? 0) << 4);
}

/** True for a response to exactly this query's question. Ids are the carrier's to compare. */
export function answersQuestion(response: Message, query: Asked): boolean {
  const { question } = response;
  if ((response.flags & FLAG.QR) === 0 || (response.flags & FLAG.OPCODE) !== 0) return false;
  if (question === undefined) return false;
  const asked = query.question;
  return question.name === asked.name && question.type === asked.type && question.class === asked.class;
}

/** A record of an answer that we give: its owner is the name that was asked for. */
export interface GivenRecord {
  readonly type: number;
  /** Seconds. */
  readonly ttl: number;
  readonly data: Buffer;
}

/** The largest datagram that we send or ask for: fits every path's MTU. */
export const UDP_BYTES = 1232;

/** An answer of our own: recursion available, not authoritative; with OPT where the query has it (RFC 6891 §6.1.1). */
export function writeAnswer(query: Asked, rcode: number, records: readonly GivenRecord[] = []): Buffer {
  const { bytes, question, edns } = query;
  const header = Buffer.alloc(HEADER_BYTES);
  const kept = query.flags & (FLAG.OPCODE | FLAG.RD | FLAG.CD);
  header.writeUInt16BE(query.id, 0);
  header.writeUInt16BE(FLAG.QR | FLAG.RA | kept | (rcode & FLAG.RCODE), 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(records.length, 6);
  header.writeUInt16BE(edns ? 1 : 0, 10);
  const parts = [header, bytes.subarray(HEADER_BYTES, question.end)];
  for (const { type, ttl, data } of records) {
    const head = Buffer.alloc(12);
    head.writeUInt16BE(0xc000 | HEADER_BYTES, 0);
    head.writeUInt16BE(type, 2);
    head.writeUInt16BE(question.class, 4);
    head.writeUInt32BE(ttl, 6);
    head.writeUInt16BE(data.length, 10);
    parts.push(head, data);
  }
  if (edns) parts.push(writeEdns({ dnssecOk: edns.dnssecOk, extendedRcode: rcode >> 4 }));
  return Buffer.concat(parts);
}

/** An OPT record of ours: version 0. `options` is the record's data, empty by default. */
export function writeEdns(
  edns: { readonly dnssecOk: boolean; readonly extendedRcode?: number },
  options: Buffer = Buffer.alloc(0),
): Buffer {
  const record = Buffer.alloc(11);
  record.writeUInt16BE(TYPE.OPT, 1);
  record.writeUInt16BE(UDP_BYTES, 3);
  record[5] = edns.extendedRcode ?? 0;
  record[7] = edns.dnssecOk ? 0x80 : 0;
  record.writeUInt16BE(options.length, 9);
  return Buffer.concat([record, options]);
}

/**
 * An error without a question, for a message that has none or can't be read (RFC 1035 §4.1.1).
 * @returns undefined where not even that makes sense: no whole header, or a response, which is never answered.
 */
export function writeBareError(bytes: Buffer, rcode: number): Buffer | undefined {
  if (bytes.length < HEADER_BYTES || (bytes.readUInt16BE(2) & FLAG.QR) !== 0) return undefined;
  const header = Buffer.alloc(HEADER_BYTES);
  const kept = bytes.readUInt16BE(2) & (FLAG.OPCODE | FLAG.RD);
  header.writeUInt16BE(bytes.readUInt16BE(0), 0);
  header.writeUInt16BE(FLAG.QR | kept | rcode, 2);
  return header;
}

/**
 * An answer made to fit a datagram: as it is, or without records and with TC set, upon which the client asks by TCP
 * (RFC 2181 §9). A client without EDNS takes 512 bytes (RFC 1035 §4.2.1).
 */
export function fitDatagram(answer: Buffer, query: Asked): Buffer {
  const limit = Math.min(UDP_BYTES, Math.max(512, query.edns?.udpSize ?? 512));
  if (answer.length <= limit) return answer;
  const cut = writeAnswer(query, answer.readUInt16BE(2) & FLAG.RCODE);
  cut.writeUInt16BE(answer.readUInt16BE(2) | FLAG.TC, 2);
  return cut;
}

/** A query as a client makes it: recursion desired, EDNS with our datagram size. @returns undefined for what is no name. */
export function writeQuery(id: number, name: string, type: number): Buffer | undefined {
  const nameBytes = writeName(name);
  if (nameBytes === undefined) return undefined;
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt16BE(id, 0);
  header.writeUInt16BE(FLAG.RD, 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(1, 10);
  const tail = Buffer.alloc(4);
  tail.writeUInt16BE(type, 0);
  tail.writeUInt16BE(CLASS_IN, 2);
  return Buffer.concat([header, nameBytes, tail, writeEdns({ dnssecOk: false })]);
}
