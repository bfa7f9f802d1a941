import { value } from "@sockeye/config-kit/value";
import { z } from "zod";
import { parseEndpoint } from "../endpoint.ts";

/** What values of the file may be, wherever they stand. schema.ts says which of them stands where. */

export const optional = z.exactOptional;

export const text = (wanted: string, accepts: (text: string) => boolean = () => true) =>
  value(wanted, (input) => (typeof input === "string" && input !== "" && accepts(input) ? input : undefined));

/** Numbers and booleans may be texts too, because `${ENV}` always is one. */
export function readNumber(input: unknown): number | undefined {
  if (typeof input === "string" && /^\d+(\.\d+)?$/.test(input)) return Number(input);
  return typeof input === "number" && Number.isFinite(input) ? input : undefined;
}

export const whole = (low: number, high: number) =>
  value(`a whole number from ${low} to ${high}`, (input) => {
    const number = readNumber(input);
    return number !== undefined && Number.isInteger(number) && number >= low && number <= high
      ? number
      : undefined;
  });

function readBoolean(input: unknown): boolean | undefined {
  if (input === "true" || input === true) return true;
  return input === "false" || input === false ? false : undefined;
}

export const boolean = value("true or false", readBoolean);

export const oneOf = <const T extends string>(...words: [T, ...T[]]) => {
  const wanted = words.length === 2 ? words.join(" or ") : `one of ${words.join(", ")}`;
  return value(wanted, (input) => words.find((word) => word === input));
};

export const path = text("a path", (path) => !path.includes("\0"));

/** The keys under which secrets stand. */
export function isSecretOfFile(key: string): boolean {
  return key === "password" || key === "passphrase" || key === "token";
}

const MAX_SECRET_CHARACTERS = 64 * 1024;

/** `text` or `{ keychain: name }`. */
export const secret = value("a text or { keychain: NAME }", (input) => {
  if (typeof input === "string") {
    return input !== "" && input.length <= MAX_SECRET_CHARACTERS ? { text: input } : undefined;
  }
  if (typeof input === "number" || typeof input === "boolean") {
    throw new SyntaxError("a secret that looks like a number, true or false stands in quotes");
  }
  if (typeof input !== "object" || input === null || Object.keys(input).join() !== "keychain") {
    return undefined;
  }
  const { keychain } = input as { keychain: unknown };
  if (typeof keychain !== "string" || !/^[^-\x00-\x1f\x7f][^\x00-\x1f\x7f]{0,255}$/.test(keychain)) {
    throw new SyntaxError("keychain is the name of an entry: up to 256 characters, the first not a hyphen");
  }
  return { keychain };
});

/** RFC 1929 §2 sends each in at most 255 bytes; RFC 7617 §2 forbids a colon in the username of HTTP. */
const username = text("a username of 1 to 255 bytes", (name) => Buffer.byteLength(name) <= 255);

export const auth = z.strictObject({
  username,
  password: optional(secret),
  password_file: optional(path),
});

export function rejectUrl(address: string): void {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\/[^/]*/i.exec(address);
  if (scheme) throw new SyntaxError("an address is host:port, without a scheme such as http://");
}

/** @param defaultPort where the address may leave the port out. */
export function connectTo(defaultPort: number) {
  return value("host or host:port", (input) => {
    if (typeof input !== "string" || input === "") return undefined;
    rejectUrl(input);
    if (input.includes("@")) {
      throw new SyntaxError("the address of a proxy holds no user; write auth: { username: …, password: … }");
    }
    if (parseEndpoint(input, defaultPort).port === 0) {
      throw new SyntaxError("port 0 can't be connected to; a port is a number from 1 to 65535");
    }
    return input;
  });
}
