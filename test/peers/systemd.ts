/*
 * A real systemd as the first process of namespaces of its own, with units of a test and no others. It has a subtree of the
 * machine's control groups, which takes root, and whatever it writes goes into memory that ends with it.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { helperProgram } from "../../engine/src/helper/spawn.ts";
import { until } from "./exercise.ts";
import { skipWithout, skipWithoutRoot } from "./peer-process.ts";

const PROJECT = fileURLToPath(new URL("../..", import.meta.url));
const SYSTEMD = ["/lib/systemd/systemd", "/usr/lib/systemd/systemd"].find((path) => existsSync(path));
/** What a socket and a service need to be there. */
const TARGETS = ["sysinit", "basic", "sockets", "shutdown", "umount", "final", "timers", "paths", "slices"];
const START_MS = 30_000;
const ALL = ["--net", "--mount", "--pid", "--uts", "--ipc", "--cgroup", "--fork", "--kill-child"];

/** The `skip` option of a test that needs systemd. */
export function skipWithoutSystemd(): string | false {
  const reason = skipWithoutRoot();
  if (reason !== false) return "needs root, for a control group of its own";
  if (SYSTEMD === undefined) return skipWithout("systemd");
  const folder = mkdtempSync(join(tmpdir(), "sockeye-cgroup-"));
  const { status, stderr } = inCgroups(folder, `mkdir "$0/${name(folder)}" && rmdir "$0/${name(folder)}"`);
  rmSync(folder, { recursive: true });
  return status === 0 ? false : `no control group can be made here: ${stderr.trim()}`;
}

export class Systemd {
  readonly #folder: string;
  readonly #unshare: ChildProcess;
  #pid = 0;

  /**
   * Starts it with the units of a folder, and the one named as its goal.
   * @throws {Error} with what it logged, where that does not become active.
   */
  static async start(units: string, goal: string): Promise<Systemd> {
    const systemd = new Systemd(units, goal);
    try {
      await until(
        () => systemd.systemctl("is-active", goal).startsWith("active"),
        `${goal} is active`,
        START_MS,
      );
    } catch (error) {
      const log = systemd.log + systemd.systemctl("status", "--no-pager", goal);
      await systemd.stop();
      throw new Error(`${(error as Error).message}:\n${log}`, { cause: error });
    }
    return systemd;
  }

  private constructor(units: string, goal: string) {
    this.#folder = mkdtempSync(join(tmpdir(), "sockeye-systemd-"));
    const console = join(this.#folder, "console");
    writeFileSync(console, "");
    writeFileSync(join(this.#folder, "setup"), setupFor(units, goal, console));
    const own = `"$0/${name(this.#folder)}"`;
    const commands = `mkdir ${own}; echo $$ >${own}/cgroup.procs; exec unshare ${ALL.join(" ")} sh -e "$0/../setup"`;
    this.#unshare = spawn("unshare", cgroupArguments(join(this.#folder, "cgroup"), commands), {
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.#unshare
      .stderr!.setEncoding("utf8")
      .on("data", (text: string) => writeFileSync(console, text, { flag: "a" }));
  }

  /** What it said so far. */
  get log(): string {
    return readFileSync(join(this.#folder, "console"), "utf8");
  }

  /** @returns what systemctl prints; "" while there is nobody to ask. */
  systemctl(...words: readonly string[]): string {
    return this.run(["systemctl", ...words]).stdout;
  }

  /** Runs a program beside it, to its end. */
  run([program, ...args]: readonly [string, ...string[]], timeout = 50_000) {
    this.#pid ||= systemdBelow(this.#unshare.pid!);
    const command = this.#pid === 0 ? ["false"] : ["-t", String(this.#pid), "-a", program, ...args];
    return spawnSync("nsenter", command, {
      encoding: "utf8",
      timeout,
      cwd: PROJECT,
      env: { ...process.env, NODE_TEST_CONTEXT: undefined, XDG_RUNTIME_DIR: undefined },
    });
  }

  async stop(): Promise<void> {
    if (this.#unshare.exitCode === null && this.#unshare.signalCode === null) {
      const exited = once(this.#unshare, "exit");
      this.#unshare.kill("SIGKILL");
      await exited;
    }
    const gone = () =>
      inCgroups(
        join(this.#folder, "cgroup"),
        `find "$0/${name(this.#folder)}" -depth -type d -exec rmdir {} +`,
      ).status === 0;
    await until(gone, "its control groups are empty", START_MS);
    rmSync(this.#folder, { recursive: true });
  }
}

/** What the first process does before it becomes systemd. Of the machine's /proc/sys only the network's part is writable. */
function setupFor(units: string, goal: string, console: string): string {
  const paths =
    "SYSTEMD_UNIT_PATH=/run/units SYSTEMD_GENERATOR_PATH=/run/none SYSTEMD_ENVIRONMENT_GENERATOR_PATH=/run/none";
  return `
    mount --make-rprivate /
    mount -t proc proc /proc
    mount --bind /proc/sys /proc/sys
    mount --bind /proc/sys/net /proc/sys/net
    mount -o remount,bind,ro /proc/sys
    mount -t sysfs -o ro sysfs /sys
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
    mount -t tmpfs tmpfs /run
    cd /run
    mkdir -p units none lib/sockeye etc dev/net dev/shm dev/pts dev/mqueue
    : >dev/console
    mount --bind '${console}' dev/console
    for file in null zero full random urandom tty net/tun; do : >dev/$file; mount --bind /dev/$file dev/$file; done
    mount --rbind dev /dev
    cp '${units}'/* units
    for target in ${TARGETS.join(" ")}; do cp /usr/lib/systemd/system/$target.target units; done
    cp '${helperProgram()}' lib/sockeye
    mount -t overlay -o lowerdir=/run/lib:/usr/lib overlay /usr/lib
    (cd /etc && cp passwd group nsswitch.conf ld.so.cache /run/etc)
    echo "late:x:1235:1235::/:/bin/false" >>etc/passwd
    echo "sockeye:x:4242:late" >>etc/group
    echo 0123456789abcdef0123456789abcdef >etc/machine-id
    mount --bind etc /etc
    for folder in /var/lib /var/tmp /var/log; do mount -t tmpfs tmpfs $folder; done
    case '${PROJECT}' in /tmp/*) ;; *) mount -t tmpfs tmpfs /tmp ;; esac
    ip link set lo up
    exec env -i container=sockeye-test PATH=/usr/sbin:/usr/bin:/sbin:/bin ${paths} \\
      ${SYSTEMD ?? ""} --system --unit=${goal} --log-target=console --show-status=no`;
}

function inCgroups(folder: string, commands: string) {
  return spawnSync("unshare", cgroupArguments(folder, commands), { encoding: "utf8", timeout: 10_000 });
}

/** Commands for which `$0` is a folder with the control groups in it, mounted for them alone. */
function cgroupArguments(folder: string, commands: string): string[] {
  const mounted = `mkdir -p "$0" && mount -t cgroup2 cgroup2 "$0" && { ${commands}; }`;
  return ["--mount", "sh", "-c", mounted, folder];
}

/** Of a control group, after a folder that nobody else has. */
function name(folder: string): string {
  return folder.split("/").at(-1)!;
}

/** The process that has become systemd; 0 while there is none. */
function systemdBelow(parent: number): number {
  try {
    const child = readFileSync(`/proc/${parent}/task/${parent}/children`, "utf8").trim().split(" ")[0]!;
    return readFileSync(`/proc/${child}/comm`, "utf8") === "systemd\n" ? Number(child) : 0;
  } catch {
    return 0;
  }
}
