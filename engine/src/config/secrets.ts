import { execFile } from "node:child_process";
import { open } from "node:fs/promises";
import { DialError, abortReason } from "../errors.ts";
import type { Secret } from "./config.ts";
import { KEYCHAIN_SERVICE, type SecretStore } from "./secret-store.ts";

/** A secret in a file or a keychain has at most this many bytes. */
export const MAX_SECRET_BYTES = 64 * 1024;
/** A keychain may ask its owner to unlock it, who needs a moment. */
const KEYCHAIN_DEADLINE_MS = 60_000;

export interface ReadSecretOptions {
  readonly signal?: AbortSignal;
  /** Told when others can read the file; one sentence. */
  readonly onWarning?: (message: string) => void;
  /** Asked for keychain entries before the system's keychain is. */
  readonly store?: Pick<SecretStore, "read"> | undefined;
}

/**
 * The secret itself: the text, the file's first line, or the keychain's entry. A keychain is asked once for each name, until
 * forgetSecrets(); nothing is ever kept on disk.
 * @throws {DialError} `auth`, scope `upstream`, with a sentence that never holds the secret; `timeout` when the keychain does
 * not answer; the signal's reason when it fires.
 */
export async function readSecret(secret: Secret, options: ReadSecretOptions = {}): Promise<string> {
  if ("text" in secret) return secret.text;
  if ("file" in secret) return readSecretFile(secret.file, options);
  return readKeychain(secret.keychain, options);
}

/** Has the keychain asked anew, after a reload or a refused secret. */
export function forgetSecrets(): void {
  remembered.clear();
}

/** By the store that was asked first, where there was one, and by name. */
const remembered = new Map<object | undefined, Map<string, Promise<string>>>();

function rememberedOf(store: object | undefined): Map<string, Promise<string>> {
  const known = remembered.get(store) ?? new Map<string, Promise<string>>();
  remembered.set(store, known);
  return known;
}

async function readSecretFile(path: string, { onWarning }: ReadSecretOptions): Promise<string> {
  const bytes = Buffer.alloc(MAX_SECRET_BYTES + 1);
  let length = 0;
  try {
    await using file = await open(path, "r");
    const { mode } = await file.stat();
    if (process.platform !== "win32" && (mode & 0o077) !== 0) {
      onWarning?.(`others can read the secret in ${path}; run chmod 600 on it`);
    }
    for (let read = -1; read !== 0 && length < bytes.length; length += read) {
      read = (await file.read(bytes, length, bytes.length - length)).bytesRead;
    }
  } catch (error) {
    throw unavailable(`the secret file ${path} can't be read: ${systemSentence(error)}`, error);
  }
  if (length > MAX_SECRET_BYTES) {
    throw unavailable(`the secret file ${path} is larger than ${MAX_SECRET_BYTES / 1024} KiB`);
  }
  const line = bytes.toString("utf8", 0, length).split(/\r?\n/, 1)[0]!;
  if (line === "") throw unavailable(`the first line of the secret file ${path} is empty`);
  return line;
}

function systemSentence(error: unknown): string {
  switch ((error as NodeJS.ErrnoException).code) {
    case "ENOENT":
      return "it does not exist";
    case "EACCES":
    case "EPERM":
      return "permission is denied";
    case "EISDIR":
      return "it is a directory";
    default:
      return String((error as NodeJS.ErrnoException).code);
  }
}

async function readKeychain(name: string, { signal, store }: ReadSecretOptions): Promise<string> {
  if (signal?.aborted === true) throw abortReason(signal);
  const known = rememberedOf(store);
  let answer = known.get(name);
  if (answer === undefined) {
    const asked = askStores(name, store);
    answer = asked;
    known.set(name, asked);
    asked.catch(() => {
      if (known.get(name) === asked) known.delete(name);
    });
  }
  return signal === undefined ? answer : orAborted(answer, signal);
}

async function askStores(name: string, store: ReadSecretOptions["store"]): Promise<string> {
  let failure: unknown;
  try {
    const secret = await store?.read(name);
    if (secret !== undefined && secret !== "") return secret;
  } catch (error) {
    failure = error;
  }
  try {
    return await askKeychain(name);
  } catch (error) {
    if (!(failure instanceof Error)) throw error;
    throw unavailable(`the keychain entry ${name} can't be read: ${failure.message}`);
  }
}

/** The keychain's answer is shared, so whoever goes away leaves the question to the others. */
function orAborted(answer: Promise<string>, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(abortReason(signal));
    signal.addEventListener("abort", onAbort, { once: true });
    answer.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}

interface KeychainCommand {
  readonly program: string;
  readonly args: readonly string[];
  /** How a person stores the entry. */
  readonly store: string;
}

function keychainCommand(name: string): KeychainCommand {
  switch (process.platform) {
    case "darwin":
      return {
        program: "/usr/bin/security",
        args: ["find-generic-password", "-s", KEYCHAIN_SERVICE, "-a", name, "-w"],
        store: `security add-generic-password -s ${KEYCHAIN_SERVICE} -a ${name} -w`,
      };
    case "win32":
      throw unavailable("keychain entries can't be read on Windows yet; use password_file or ${ENV}");
    default:
      return {
        program: "secret-tool",
        args: ["lookup", "service", KEYCHAIN_SERVICE, "account", name],
        store: `secret-tool store --label=Sockeye service ${KEYCHAIN_SERVICE} account ${name}`,
      };
  }
}

async function askKeychain(name: string): Promise<string> {
  const { program, args, store } = keychainCommand(name);
  return new Promise((resolve, reject) => {
    const limits = {
      timeout: KEYCHAIN_DEADLINE_MS,
      maxBuffer: MAX_SECRET_BYTES,
      killSignal: "SIGKILL" as const,
    };
    const child = execFile(program, args, limits, (error, stdout) => {
      // The error of execFile holds what the program printed, which may be the secret: it is no cause to pass on.
      const secret = stdout.replace(/\r?\n$/, "");
      if (error === null && secret !== "") resolve(secret);
      else if (error?.code === "ENOENT") {
        reject(unavailable(`${program} is not installed, and it reads the keychain entry ${name}`));
      } else if (error?.code === "ERR_CHILD_PROCESS_STDIO_MAXBUFFER") {
        reject(unavailable(`the keychain entry ${name} is larger than ${MAX_SECRET_BYTES / 1024} KiB`));
      } else if (error?.killed === true) {
        const seconds = KEYCHAIN_DEADLINE_MS / 1000;
        const message = `the keychain gave no answer about ${name} in ${seconds} s; it may be locked`;
        reject(new DialError("timeout", message, { step: "auth", scope: "upstream" }));
      } else reject(unavailable(`the keychain has no entry ${name}, or is locked; to store it: ${store}`));
    });
    child.stdin?.on("error", () => {}).end();
  });
}

function unavailable(message: string, cause?: unknown): DialError {
  return new DialError("auth", message, { cause, step: "auth", scope: "upstream" });
}
