import { spawnSync } from "node:child_process";
import { ownHelper, type HelperSource } from "@sockeye/engine/helper/source";
import { spawnHelper } from "@sockeye/engine/helper/spawn";
import { readConfiguration } from "./config-file.ts";
import { CommandFailure, ExitCode } from "./exit-codes.ts";
import { complain } from "./output.ts";

/** Users may be kept far away. */
const ASK_MS = 10_000;

export interface Privileged {
  readonly helper: HelperSource;
  /** Ends the helper, which undoes what it did, and waits for its end. */
  close(): Promise<void>;
}

/**
 * With root, as under sudo, and a configuration that wants TUN mode: starts the privileged helper as a process of its own, and
 * becomes the user who called sudo, so that no packet is ever read by root. Otherwise nothing is done.
 * @throws {CommandFailure} where the helper does not start.
 */
export async function startPrivileged(configFile: string | undefined): Promise<Privileged | undefined> {
  if (process.getuid?.() !== 0 || configFile === undefined) return undefined;
  const parsed = await readConfiguration(configFile);
  if (!("config" in parsed) || !parsed.config.tun.enabled) return undefined;
  let spawned;
  try {
    spawned = await spawnHelper((line) => complain(line));
  } catch (error) {
    throw new CommandFailure(
      ExitCode.failed,
      `the privileged helper did not start: ${(error as Error).message}`,
      error,
    );
  }
  const { client, ended } = spawned;
  const close = async (): Promise<void> => {
    client.close();
    await ended;
  };
  try {
    giveUpRoot();
  } catch (error) {
    await close();
    const sentence = `root can't be given up for the user who called sudo: ${(error as Error).message}`;
    throw new CommandFailure(ExitCode.failed, sentence, error);
  }
  return { helper: ownHelper(client), close };
}

/** Becomes the user who called sudo. Where root itself called, as in a container, there is nobody to become. */
function giveUpRoot(): void {
  const { SUDO_UID, SUDO_GID, SUDO_USER } = process.env;
  const [uid, gid] = [Number(SUDO_UID), Number(SUDO_GID)];
  if (
    SUDO_UID === undefined ||
    SUDO_USER === undefined ||
    !Number.isInteger(uid) ||
    !Number.isInteger(gid) ||
    uid === 0
  ) {
    complain("the engine runs as root, because no user called sudo; a user of its own is safer");
    return;
  }
  const [groups, home] = [groupsOf(SUDO_USER), homeOf(SUDO_USER)];
  process.setgroups!(groups);
  process.setgid!(gid);
  process.setuid!(uid);
  process.env["HOME"] = home;
  process.env["USER"] = SUDO_USER;
  process.env["LOGNAME"] = SUDO_USER;
}

/** By passwd(5), or whatever else the system keeps its users in. */
function homeOf(user: string): string {
  if (process.platform === "darwin")
    return /: (.*)/.exec(ask("dscl", [".", "-read", `/Users/${user}`, "NFSHomeDirectory"]))?.[1] ?? "/";
  return ask("getent", ["passwd", user]).split(":")[5] ?? "/";
}

function groupsOf(user: string): number[] {
  return ask("id", ["-G", "--", user]).split(" ").map(Number);
}

/** @throws {Error} with what the program says. */
function ask(program: string, args: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: "utf8", timeout: ASK_MS });
  if (status === 0) return stdout.trim();
  throw error ?? new Error(stderr.trim() || `${program} ${args.join(" ")} ended with ${status}`);
}
