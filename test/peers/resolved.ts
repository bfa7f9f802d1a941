/*
 * A real systemd-resolved with a system bus of its own, in the namespaces of a test (namespace.ts): the machine's own DNS is
 * never touched. Where the machine has none installed, .ci/run has unpacked one into a folder of this project.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { assertInNamespace } from "./namespace.ts";
import { findProgram, skipWithout } from "./peer-process.ts";
import { until } from "./tun-client.ts";
import { shell } from "./tun-world.ts";

/** Where .ci/run unpacks the packages that must not be installed. */
const UNPACKED = fileURLToPath(new URL("../../.cache/systemd-resolved", import.meta.url));
const STUB = "/run/systemd/resolve/stub-resolv.conf";
const BUS = "/run/dbus/system_bus_socket";
const DAEMON = "lib/systemd/systemd-resolved";

/** The folder below which the daemon is: the machine's, or ours. */
function findRoot(): string | undefined {
  return ["/usr", "/", join(UNPACKED, "usr"), UNPACKED].find((root) => existsSync(join(root, DAEMON)));
}

/** The `skip` option of a test that needs systemd-resolved. */
export function skipWithoutResolved(): string | false {
  const reason =
    findRoot() === undefined ? "systemd-resolved is neither installed nor unpacked by .ci/run" : false;
  if (reason !== false && process.env["CI"]) throw new Error(`${reason}, and CI is set`);
  return reason === false ? skipWithout("dbus-daemon", "dig") : reason;
}

/** Everybody may say everything: there is one user in here. */
const BUS_SETTINGS = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
  "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path=${BUS}</listen><auth>EXTERNAL</auth>
<policy context="default">
  <allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/><allow user="*"/>
</policy></busconfig>
`;

export class Resolved {
  readonly #bus: ChildProcess;
  #daemon!: ChildProcess;

  /** Starts the bus and the daemon, in a TunWorld, and makes its stub the machine's name server. */
  static async start(): Promise<Resolved> {
    assertInNamespace();
    const resolved = new Resolved();
    await until(() => existsSync(BUS), "the bus");
    // What else stood there it would take for servers of the whole machine.
    rmSync("/etc/resolv.conf", { force: true });
    symlinkSync(STUB, "/etc/resolv.conf");
    await resolved.restart();
    return resolved;
  }

  private constructor() {
    for (const folder of ["/run/dbus", "/run/systemd"]) mkdirSync(folder, { recursive: true });
    // There are no other users in here for it to become.
    for (const [file, line] of [
      ["/etc/passwd", "systemd-resolve:x:0:0::/:/bin/false\n"],
      ["/etc/group", "systemd-resolve:x:0:\n"],
    ] as const)
      writeFileSync(file, line + readFileSync(file, "utf8"));
    // The helper starts resolvectl from there and from nowhere else.
    if (!existsSync("/usr/bin/resolvectl"))
      shell(`mount -t overlay -o lowerdir=${UNPACKED}/usr/bin:/usr/bin overlay /usr/bin`);
    const settings = "/run/dbus/system.conf";
    writeFileSync(settings, BUS_SETTINGS);
    const command = [`--config-file=${settings}`, "--nofork", "--nopidfile"];
    // That it can't raise its limit of descriptors, it says on standard error.
    this.#bus = spawn(findProgram("dbus-daemon")!, command, { stdio: "ignore" });
  }

  /** Starts the daemon, in the place of the one that runs. */
  async restart(): Promise<void> {
    await end(this.#daemon);
    rmSync(STUB, { force: true });
    this.#daemon = spawn(join(findRoot()!, DAEMON), { stdio: "ignore" });
    await until(() => existsSync(STUB), "systemd-resolved is ready");
    await until(() => resolvectlAnswers(), "systemd-resolved is on the bus");
  }

  /** It does not answer, and does not end, until it is told to go on. */
  pause(): void {
    this.#daemon.kill("SIGSTOP");
  }

  resume(): void {
    this.#daemon.kill("SIGCONT");
  }

  async stop(): Promise<void> {
    this.resume();
    await end(this.#daemon);
    await end(this.#bus);
  }
}

/** What `resolvectl status` says of all links. */
export function resolvectlStatus(): string {
  return shell("resolvectl --no-pager status");
}

function resolvectlAnswers(): boolean {
  try {
    return resolvectlStatus() !== "";
  } catch {
    return false;
  }
}

async function end(child: ChildProcess | undefined): Promise<void> {
  if (child?.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill();
  await exited;
}
