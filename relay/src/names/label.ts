import { faultOfName } from "@sockeye/link/public-name";
import { NameError } from "./registry.ts";

/** True for a name that normalizeName would leave as it is. */
export function isName(name: string): boolean {
  return faultOfName(name) === undefined && name === name.toLowerCase();
}

/**
 * A public name as it is compared and looked up: one label of a host name, lower case.
 * @throws {NameError} `invalid`, with a sentence that says what would be right.
 */
export function normalizeName(name: string): string {
  const fault = faultOfName(name);
  if (fault !== undefined) throw new NameError("invalid", fault);
  return name.toLowerCase();
}
