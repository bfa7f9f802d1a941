import { execFile } from "node:child_process";

/** Where a machine keeps secrets by name: the system's keychain, or what a desktop app has. */
export interface SecretStore {
  /** Whether secrets can be kept now, and where not, why: one sentence. */
  available(): Promise<{ readonly ok: true } | { readonly ok: false; readonly reason: string }>;
  /** Takes the place of an entry of that name. @throws {Error} with a sentence that does not hold the secret. */
  store(name: string, value: string): Promise<void>;
  /** @returns undefined where there is no such entry. @throws {Error} with a sentence. */
  read(name: string): Promise<string | undefined>;
  /** No entry of that name is no error. @throws {Error} with a sentence. */
  remove(name: string): Promise<void>;
}

/** The service that keychain entries of ours are filed under. */
export const KEYCHAIN_SERVICE = "sockeye";

/** A keychain that is locked asks its owner, who needs a moment. */
const DEADLINE_MS = 60_000;
const PROBE_DEADLINE_MS = 5_000;
/** A line of `security -i` holds 4,096 characters; in hexadecimal a byte takes two. */
const MAX_MACOS_BYTES = 1_500;

interface Outcome {
  readonly status: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
  /** Of the system, where the program could not be run. */
  readonly code: string | undefined;
}

/**
 * The keychain of this system, by the program that comes with it: `secret-tool` of libsecret, or `security` of macOS. A secret is
 * given to it on standard input, since arguments can be seen by every user of the machine.
 */
export const systemKeychain: SecretStore = {
  async available() {
    switch (process.platform) {
      case "darwin":
        return { ok: true };
      case "win32":
        return { ok: false, reason: "the keychain of Windows can be used by the desktop app alone" };
      default: {
        const { status, stderr, code } = await run("secret-tool", lookup("probe"), "", PROBE_DEADLINE_MS);
        if (code === "ENOENT") return { ok: false, reason: "secret-tool is not installed" };
        // An entry that is not there is an answer of the service; without a service there is a complaint.
        if (status === 0 || (status === 1 && stderr.trim() === "")) return { ok: true };
        return { ok: false, reason: "no keychain service answers in this session" };
      }
    }
  },

  async store(name, value) {
    if (process.platform === "darwin") {
      if (Buffer.byteLength(value) > MAX_MACOS_BYTES)
        throw new Error(`a secret for this keychain has at most ${MAX_MACOS_BYTES} bytes`);
      const hex = Buffer.from(value).toString("hex");
      const command = `add-generic-password -U -s ${KEYCHAIN_SERVICE} -a ${quoted(name)} -X ${hex}\n`;
      succeed(await run("/usr/bin/security", ["-i"], command, DEADLINE_MS), "store", name);
      return;
    }
    const args = ["store", `--label=Sockeye: ${name}`, "service", KEYCHAIN_SERVICE, "account", name];
    succeed(await run("secret-tool", args, value, DEADLINE_MS), "store", name);
  },

  async read(name) {
    const [program, args] =
      process.platform === "darwin"
        ? ([
            "/usr/bin/security",
            ["find-generic-password", "-s", KEYCHAIN_SERVICE, "-a", name, "-w"],
          ] as const)
        : (["secret-tool", lookup(name)] as const);
    const { status, stdout } = await run(program, args, "", DEADLINE_MS);
    const secret = stdout.replace(/\r?\n$/, "");
    return status === 0 && secret !== "" ? secret : undefined;
  },

  async remove(name) {
    const [program, args] =
      process.platform === "darwin"
        ? (["/usr/bin/security", ["delete-generic-password", "-s", KEYCHAIN_SERVICE, "-a", name]] as const)
        : (["secret-tool", ["clear", "service", KEYCHAIN_SERVICE, "account", name]] as const);
    const { code } = await run(program, args, "", DEADLINE_MS);
    if (code !== undefined) throw new Error(`the keychain entry ${name} could not be removed`);
  },
};

function lookup(name: string): readonly string[] {
  return ["lookup", "service", KEYCHAIN_SERVICE, "account", name];
}

/** For `security -i`, which reads words as a shell does. */
function quoted(word: string): string {
  return `"${word.replaceAll(/["\\]/g, "\\$&")}"`;
}

function succeed({ status, code }: Outcome, what: string, name: string): void {
  if (status === 0) return;
  // What the program printed may hold what it was given.
  const why = code === "ENOENT" ? "its program is not installed" : "it is locked, or refused";
  throw new Error(`the keychain could not ${what} ${name}: ${why}`);
}

/** Never rejects. */
function run(program: string, args: readonly string[], input: string, timeout: number): Promise<Outcome> {
  return new Promise((resolve) => {
    const child = execFile(
      program,
      [...args],
      { timeout, killSignal: "SIGKILL", maxBuffer: 1024 * 1024 },
      (error, stdout, stderr) => {
        const code = error?.code;
        resolve({
          status: error === null ? 0 : typeof code === "number" ? code : undefined,
          stdout,
          stderr,
          code: typeof code === "string" ? code : undefined,
        });
      },
    );
    child.stdin?.on("error", () => {}).end(input);
  });
}
