import type { ParsedKey } from "ssh2";
import { aside } from "../../aside.ts";
import { parseKey } from "./plain-key.ts";

/** `ssh-keygen -a` may ask for any number of rounds; its usual ones take half a second. */
const DEADLINE_MS = 120_000;

/**
 * Opens an encrypted private key in a thread of its own: trying a passphrase is made to take long (bcrypt), and traffic does not
 * wait for it.
 * @returns nothing where the passphrase is wrong.
 * @throws {Error} with a sentence, where it takes longer than two minutes.
 */
export async function unlockAside(text: string, passphrase: string): Promise<ParsedKey | undefined> {
  const plain = await aside<string | undefined>(
    new URL("./unlock-worker.ts", import.meta.url),
    { text, passphrase },
    { what: "trying the passphrase", deadlineMs: DEADLINE_MS },
  );
  const key = plain === undefined ? undefined : parseKey(plain);
  if (key instanceof Error) throw key;
  return key;
}
