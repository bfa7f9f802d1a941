import { isSecretKey } from "../observe/redact.ts";

/** What a client sees of a secret. */
export const MASK = "•••";

/**
 * A configuration for showing: each literal secret replaced. Where a secret is read from, a file or the keychain, is no
 * secret and stays.
 */
export function maskSecrets(config: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(config)
      .filter(([, value]) => value !== undefined)
      .map(([key, value]) => [key, isSecretKey(key) ? maskSecret(value) : maskInner(value)]),
  );
}

function maskInner(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(maskInner);
  return typeof value === "object" && value !== null ? maskSecrets(value) : value;
}

function maskSecret(value: unknown): unknown {
  if (typeof value === "object" && value !== null && !("text" in value)) return maskInner(value);
  return MASK;
}
