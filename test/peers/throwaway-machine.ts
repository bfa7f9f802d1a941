import { spawnSync } from "node:child_process";
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Where commands that are tried may write. */
const PLACES = ["etc", "usr", "opt", "var/lib"];
/** A user of that machine, by name and number. */
export const TESTER = { name: "tester", id: 54_321 };

/**
 * This machine, in mount namespaces of its own: what is written to PLACES goes with it, and systemctl is a script that says what it was
 * asked for.
 */
function machine(folder: string): string {
  return `
set -eu
mount --make-rprivate /
mkdir -p ${folder}/layers
mount -t tmpfs tmpfs ${folder}/layers
for place in ${PLACES.join(" ")}; do
  [ -d /$place ] || continue
  name=$(echo $place | tr / -)
  mkdir -p ${folder}/layers/$name/upper ${folder}/layers/$name/work
  mount -t overlay overlay -o lowerdir=/$place,upperdir=${folder}/layers/$name/upper,workdir=${folder}/layers/$name/work /$place
done
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system
mount --bind ${folder}/systemctl "$(readlink -f "$(command -v systemctl)")"
grep -q '^${TESTER.name}:' /etc/passwd || echo '${TESTER.name}:x:${TESTER.id}:${TESTER.id}::/:/bin/sh' >> /etc/passwd
`;
}

export interface MachineRun {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** What was asked of systemctl, a line each, and whatever else was written to `${folder}/calls`. */
  readonly calls: string;
}

/** Runs commands on a fresh one, as root. What lies in `folder` is seen there too. */
export function onMachine(folder: string, ...commands: readonly string[]): MachineRun {
  writeFileSync(join(folder, "systemctl"), `#!/bin/sh\necho "systemctl $*" >> ${folder}/calls\n`);
  chmodSync(join(folder, "systemctl"), 0o755);
  writeFileSync(join(folder, "calls"), "");
  const { status, stdout, stderr } = spawnSync(
    "unshare",
    ["--mount", "sh", "-c", [machine(folder), ...commands].join("\n")],
    { encoding: "utf8", timeout: 50_000 },
  );
  return { status, stdout, stderr, calls: readFileSync(join(folder, "calls"), "utf8") };
}
