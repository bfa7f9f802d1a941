/**
 * The two commands that are run with privileges, as texts for a shell. They are made of constants of this build: the files
 * that they write are in them, and the one file that they read, the helper's program, has to have the hash that is in them. What
 * differs from machine to machine is a folder's random name, the hash and the user's number.
 */

/** What belongs to this build of the app. */
export interface HelperFiles {
  /** Of the program, in hexadecimal. */
  readonly sha256: string;
  /** build/systemd and build/launchd. */
  readonly service: string;
  readonly socket: string;
  readonly daemon: string;
}

export interface InstallScriptOptions extends HelperFiles {
  /** Where the program can be read by root. Anybody of this user may change it until it has been copied. */
  readonly staged: string;
  /** Who may ask the helper from now on. */
  readonly user: number;
}

/** A status of the scripts' own, which says what their last line of error output says in a sentence. */
export const REFUSED = 70;

/** No program is that long; a pipe or a device in its place ends there. */
const MAX_PROGRAM_BYTES = 32 * 1024 * 1024;

const SAFE_PATH = /^\/[A-Za-z0-9/._+-]+$/;

/** @throws {Error} where a value is not what it may be: nothing else gets into a command of root's. */
export function installScript(platform: NodeJS.Platform, options: InstallScriptOptions): string {
  const { sha256, staged, user } = options;
  if (!/^[0-9a-f]{64}$/.test(sha256)) throw new Error("this build does not know its helper");
  if (!SAFE_PATH.test(staged)) throw new Error(`the folder for temporary files has an odd name: ${staged}`);
  if (!Number.isInteger(user) || user < 0) throw new Error("this user has no number");
  return platform === "darwin" ? installOnMac(options) : installOnLinux(options);
}

export function removeScript(platform: NodeJS.Platform): string {
  return platform === "darwin" ? removeOnMac : removeOnLinux;
}

const preamble = `set -eu
umask 022
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH
cd /
refuse() { echo "$1" >&2; exit ${REFUSED}; }
`;

/**
 * What is at a path of the user's may be exchanged at any moment. So it is copied to a place that only root can write, and from
 * there on only the copy counts: what is hashed is what is installed.
 */
function takeProgram(folder: string, options: InstallScriptOptions, hashCommand: string): string {
  return `work=$(mktemp -d ${folder}/.new.XXXXXXXX)
trap 'rm -rf "$work"' EXIT
head -c ${MAX_PROGRAM_BYTES} < ${options.staged} > "$work/sockeye-helper"
case "$(${hashCommand} < "$work/sockeye-helper")" in
  ${options.sha256}*) ;;
  *) refuse "the helper that was to be installed is not the one that belongs to this app" ;;
esac
chmod 755 "$work/sockeye-helper"
`;
}

function file(path: string, content: string): string {
  // Quoted, so that nothing in it is expanded.
  return `cat > ${path} <<'END_OF_FILE'\n${content.trimEnd()}\nEND_OF_FILE\n`;
}

const fromPackage = `for folder in /usr/lib/systemd/system /lib/systemd/system; do
  if [ -e "$folder/sockeye-helper.socket" ]; then
    refuse "the helper came with the system's package of Sockeye: the package manager updates and removes it"
  fi
done
`;

function installOnLinux(options: InstallScriptOptions): string {
  return `${preamble}
[ -d /run/systemd/system ] || refuse "this system was not started by systemd, which is to start the helper; sudo sockeye run does without"
user=$(id -nu ${options.user})
join() { groupadd --system --force sockeye && usermod --append --groups sockeye "$user"; }
if [ -e /usr/lib/systemd/system/sockeye-helper.socket ] || [ -e /lib/systemd/system/sockeye-helper.socket ]; then
  # The package brought the helper; what this user lacks is the right to ask it.
  join
  systemctl enable --now sockeye-helper.socket
  exit 0
fi
mkdir -p /usr/lib/sockeye
chown root:root /usr/lib/sockeye
chmod 755 /usr/lib/sockeye
${takeProgram("/usr/lib/sockeye", options, "sha256sum")}
${file('"$work/sockeye-helper.service"', options.service)}
${file('"$work/sockeye-helper.socket"', options.socket)}
join
# One that runs goes on with its client; it is the next start that must not find half of this.
systemctl stop sockeye-helper.socket sockeye-helper.service 2>/dev/null || true
mv -f "$work/sockeye-helper" /usr/lib/sockeye/sockeye-helper
mv -f "$work/sockeye-helper.service" "$work/sockeye-helper.socket" /etc/systemd/system/
systemctl daemon-reload
systemctl enable --now sockeye-helper.socket
`;
}

const removeOnLinux = `${preamble}
${fromPackage}
systemctl disable --now sockeye-helper.socket sockeye-helper.service 2>/dev/null || true
if [ -x /usr/lib/sockeye/sockeye-helper ]; then
  /usr/lib/sockeye/sockeye-helper --cleanup || refuse "the helper could not undo what it had set, so it was left in place"
fi
rm -f /etc/systemd/system/sockeye-helper.service /etc/systemd/system/sockeye-helper.socket
rm -rf /usr/lib/sockeye /var/lib/sockeye
systemctl daemon-reload
if getent group sockeye >/dev/null; then groupdel sockeye; fi
`;

const LABEL = "io.sockeye.helper";
const DAEMON = `/Library/LaunchDaemons/${LABEL}.plist`;
const TOOLS = "/Library/PrivilegedHelperTools";

function installOnMac(options: InstallScriptOptions): string {
  return `${preamble}
mkdir -p ${TOOLS}
chown root:wheel ${TOOLS}
chmod 755 ${TOOLS}
${takeProgram(TOOLS, options, "shasum -a 256")}
${file('"$work/daemon.plist"', options.daemon)}
user=$(id -nu ${options.user})
dseditgroup -o read sockeye >/dev/null 2>&1 || dseditgroup -o create sockeye
dseditgroup -o edit -a "$user" -t user sockeye
launchctl bootout system/${LABEL} 2>/dev/null || true
mv -f "$work/sockeye-helper" ${TOOLS}/sockeye-helper
mv -f "$work/daemon.plist" ${DAEMON}
launchctl bootstrap system ${DAEMON}
`;
}

const removeOnMac = `${preamble}
launchctl bootout system/${LABEL} 2>/dev/null || true
if [ -x ${TOOLS}/sockeye-helper ]; then
  ${TOOLS}/sockeye-helper --cleanup || refuse "the helper could not undo what it had set, so it was left in place"
fi
rm -f ${TOOLS}/sockeye-helper ${DAEMON} /var/log/sockeye-helper.log
dseditgroup -o delete sockeye 2>/dev/null || true
`;

/**
 * One line that runs a script in a shell of its own. The letters of base64 mean nothing to any of the shells and quotes that the
 * prompt's own programs put around a command.
 */
export function asCommand(script: string): string {
  return `echo ${Buffer.from(script).toString("base64")} | /usr/bin/base64 --decode | /bin/sh`;
}
