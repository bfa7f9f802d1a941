/** What stands where a secret stood. */
export const REDACTED = "[redacted]";

/** Keys whose value is a secret whatever it is, in any spelling: `proxy-authorization`, `proxyAuthorization`, … */
const SECRET_KEY = /(?:password|passwd|passphrase|token|secret|authorization|private[-_]?key|cookie)$/i;

/** `scheme://user:password@`. The password may hold an `@`; it ends at the last one before the path. */
const URL_CREDENTIALS = /:\/\/[^\s/"'<>\\]{1,1024}@/g;

/** Credentials in a header that was put into a sentence; not "Basic authentication", which no base64 looks like. */
const HEADER_CREDENTIALS = /\b([Bb]asic|[Bb]earer)\s+(?=[\w+/=.~-]{0,512}(?:\d|=|[a-z][A-Z]))[\w+/=.~-]{4,}/g;

const MAX_DEPTH = 6;
const MAX_ENTRIES = 64;
const MAX_STRING = 2_000;

/** Bytes that move a terminal's cursor or forge a line. A line feed and a tab stay: JSON escapes them, pretty lines too. */
const CONTROL = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]/;
const EVERY_CONTROL = new RegExp(CONTROL, "g");

export function isSecretKey(key: string): boolean {
  const known = knownKeys.get(key);
  if (known !== undefined) return known;
  const secret = SECRET_KEY.test(key);
  if (knownKeys.size < MAX_KNOWN_KEYS) knownKeys.set(key, secret);
  return secret;
}

/** Field names are few and come with every record. */
const knownKeys = new Map<string, boolean>();
const MAX_KNOWN_KEYS = 500;

/** The text without credentials of URLs and headers, with control characters made visible, and cut where too long. */
export function scrub(text: string): string {
  let clean = text.length > MAX_STRING ? `${text.slice(0, MAX_STRING)}…` : text;
  if (clean.includes("://")) clean = clean.replace(URL_CREDENTIALS, `://${REDACTED}@`);
  if (clean.includes(" ")) clean = clean.replace(HEADER_CREDENTIALS, `$1 ${REDACTED}`);
  return CONTROL.test(clean) ? clean.replace(EVERY_CONTROL, escapeControl) : clean;
}

function escapeControl(character: string): string {
  return `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`;
}

/**
 * A record's fields as they may be logged: secrets replaced at any depth, errors told as type, code, message and cause,
 * long things cut. The usual flat record costs a look at each value and one object.
 */
export function redact(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return redactObject(fields, 0, new Set());
}

function redactObject(value: object, depth: number, above: Set<object>): Record<string, unknown> {
  const clean: Record<string, unknown> = {};
  let entries = 0;
  for (const [key, inner] of Object.entries(value)) {
    if (++entries > MAX_ENTRIES) {
      clean["…"] = "cut";
      break;
    }
    if (inner === undefined) continue;
    clean[key] = isSecretKey(key) ? REDACTED : redactValue(inner, depth, above);
  }
  return clean;
}

function redactValue(value: unknown, depth: number, above: Set<object>): unknown {
  switch (typeof value) {
    case "string":
      return scrub(value);
    case "number":
    case "boolean":
    case "undefined":
      return value;
    case "bigint":
      return value.toString();
    case "function":
    case "symbol":
      return undefined;
    case "object":
      return value === null ? null : redactNested(value, depth + 1, above);
  }
}

function redactNested(value: object, depth: number, above: Set<object>): unknown {
  if (above.has(value)) return "[circular]";
  if (depth > MAX_DEPTH) return "[deep]";
  if (value instanceof Date) return value.toISOString();
  if (value instanceof URL) return scrub(value.href);
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  above.add(value);
  try {
    if (value instanceof Error) return describeError(value, depth, above);
    if (Array.isArray(value)) {
      const kept = value.slice(0, MAX_ENTRIES).map((inner) => redactValue(inner, depth, above));
      if (value.length > MAX_ENTRIES) kept.push(`… ${value.length - MAX_ENTRIES} more`);
      return kept;
    }
    if (value instanceof Map)
      return redactObject(Object.fromEntries(value as Map<string, unknown>), depth, above);
    if (value instanceof Set) return redactValue([...(value as Set<unknown>)], depth, above);
    return redactObject(value, depth, above);
  } finally {
    above.delete(value);
  }
}

/** A defect keeps its stack, for whoever mends it; an error with a code was foreseen, and its sentence says it. */
function describeError(error: Error, depth: number, above: Set<object>): Record<string, unknown> {
  const code = "code" in error && typeof error.code === "string" ? error.code : undefined;
  const told: Record<string, unknown> = { type: error.name, message: scrub(error.message) };
  if (code !== undefined) told["code"] = code;
  if ("step" in error && typeof error.step === "string") told["step"] = error.step;
  if ((code === undefined || code === "internal") && error.stack !== undefined)
    told["stack"] = scrub(error.stack);
  if (error.cause !== undefined) told["cause"] = redactValue(error.cause, depth, above);
  return told;
}
