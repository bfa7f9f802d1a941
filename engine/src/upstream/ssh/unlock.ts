import { Worker } from "node:worker_threads";
import type { ParsedKey } from "ssh2";
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
  const worker = new Worker(new URL("./unlock-worker.ts", import.meta.url), {
    workerData: { text, passphrase },
  });
  const result = Promise.withResolvers<string | undefined>();
  const timer = setTimeout(
    () => result.reject(new Error(`it took longer than ${DEADLINE_MS / 1000} s to try the passphrase`)),
    DEADLINE_MS,
  );
  worker.on("message", (plain: string | undefined) => result.resolve(plain));
  worker.on("error", result.reject);
  worker.on("exit", () => result.reject(new Error("the thread that tries the passphrase ended early")));
  try {
    const plain = await result.promise;
    const key = plain === undefined ? undefined : parseKey(plain);
    if (key instanceof Error) throw key;
    return key;
  } finally {
    clearTimeout(timer);
    await worker.terminate();
  }
}
