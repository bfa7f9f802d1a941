import { copyFile, mkdtemp, readFile, rm } from "node:fs/promises";
import { createHash } from "node:crypto";
import { join } from "node:path";
import type { HelperStatus } from "@sockeye/engine/control/contract";
import type { Outcome } from "@sockeye/renderer/desktop/contract";
import { asCommand, installScript, REFUSED, removeScript, type HelperFiles } from "./helper-script.ts";

/** Runs one command with privileges, after one prompt of the system's. @throws {NotElevated} */
export type Elevate = (command: string) => Promise<void>;

export class NotElevated extends Error {
  override readonly name = "NotElevated";
  /** The person said no. */
  readonly declined: boolean;

  constructor(message: string, options: { readonly declined: boolean; readonly cause?: unknown }) {
    super(message, { cause: options.cause });
    this.declined = options.declined;
  }
}

export interface HelperInstallerOptions {
  readonly elevate: Elevate;
  readonly platform: NodeJS.Platform;
  readonly user: number | undefined;
  /** The helper's program in this app. */
  readonly program: string;
  /** `sha256` undefined: taken from the program as it is now, where it was signed after this code was built. */
  readonly files: Omit<HelperFiles, "sha256"> & { readonly sha256: string | undefined };
  /** A folder for temporary files that root can read: it can't look into an AppImage that a user has mounted. */
  readonly temporary: string;
  /** Asks the engine, which is who talks to the helper. */
  readonly status: () => Promise<HelperStatus>;
  readonly handshakeMs?: number;
}

/** From the service's start until it answers. */
const HANDSHAKE_MS = 10_000;
const LOOK_AGAIN_MS = 250;

/** Installs the privileged helper with one prompt, and removes it again. */
export class HelperInstaller {
  readonly #options: HelperInstallerOptions;
  #busy = false;

  constructor(options: HelperInstallerOptions) {
    this.#options = options;
  }

  /** Then a helper of this version answers, or the outcome says why not. An older one is replaced. */
  install(): Promise<Outcome> {
    return this.#alone(async () => {
      const { platform, user, program, temporary, files } = this.#options;
      const folder = await mkdtemp(join(temporary, "sockeye-helper-"));
      try {
        const staged = join(folder, "sockeye-helper");
        await copyFile(program, staged);
        const sha256 =
          files.sha256 ??
          createHash("sha256")
            .update(await readFile(staged))
            .digest("hex");
        const script = installScript(platform, { ...files, sha256, staged, user: user ?? -1 });
        await this.#options.elevate(asCommand(script));
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
      await this.#await("running");
    });
  }

  /** Everything that it set is undone, and nothing of it is left. */
  remove(): Promise<Outcome> {
    return this.#alone(async () => {
      await this.#options.elevate(asCommand(removeScript(this.#options.platform)));
      await this.#await("absent");
    });
  }

  async #alone(work: () => Promise<void>): Promise<Outcome> {
    const { platform } = this.#options;
    if (platform !== "linux" && platform !== "darwin") {
      return failure("On Windows the helper is installed by hand so far: docs/platforms.md says how.");
    }
    if (this.#busy) return failure("The system is asking already: look for its prompt.");
    this.#busy = true;
    try {
      await work();
      return { ok: true };
    } catch (error) {
      if (error instanceof NotElevated)
        return { ok: false, declined: error.declined, message: error.message };
      const missing = (error as NodeJS.ErrnoException).code === "ENOENT";
      if (missing)
        return failure("This build of Sockeye has no helper: it was built without a C++ compiler.");
      return failure(error instanceof Error ? error.message : String(error));
    } finally {
      this.#busy = false;
    }
  }

  async #await(wanted: HelperStatus["state"]): Promise<void> {
    const deadline = Date.now() + (this.#options.handshakeMs ?? HANDSHAKE_MS);
    for (;;) {
      const status = await this.#options.status();
      if (status.state === wanted) return;
      if (Date.now() >= deadline) throw new Error(status.message);
      await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
    }
  }
}

function failure(message: string): Outcome {
  return { ok: false, declined: false, message };
}

/** The prompt's program, as @vscode/sudo-prompt has it. */
export type SudoPrompt = (
  command: string,
  options: { name: string },
  callback: (error?: Error, stdout?: string | Buffer, stderr?: string | Buffer) => void,
) => void;

/** Elevates by the system's own prompt: polkit's, macOS' or UAC. */
export function elevateBy(exec: SudoPrompt): Elevate {
  return (command) =>
    new Promise((resolve, reject) => {
      exec(command, { name: "Sockeye" }, (error, _stdout, stderr) => {
        // Null, whatever its types say, where all went well.
        if (!error) resolve();
        else reject(notElevated(error, String(stderr ?? "")));
      });
    });
}

function notElevated(error: Error & { readonly code?: unknown }, stderr: string): NotElevated {
  const { message } = error;
  if (message.includes("did not grant permission")) {
    return new NotElevated("Permission was not given.", { declined: true, cause: error });
  }
  if (/polkit authentication agent|^Unable to find pkexec/.test(message)) {
    const sentence =
      "This desktop has nothing that asks for a password (a polkit agent). docs/tasks/tun.md says how to install the helper in a terminal.";
    return new NotElevated(sentence, { declined: false, cause: error });
  }
  // Our own script's last words are a sentence; anything else is a program's.
  const said = stderr.trim().split("\n").at(-1) ?? "";
  const sentence = error.code === REFUSED ? said : `The helper could not be installed: ${said || message}`;
  return new NotElevated(sentence, { declined: false, cause: error });
}
