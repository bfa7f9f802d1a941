import { posix, win32 } from "node:path";

/** Where Sockeye keeps what outlives a run; a running engine's own entry is in control/directory.ts. */
export interface Paths {
  readonly config: string;
  /** Of passwords and passphrases, one a file. */
  readonly secretsDirectory: string;
  readonly stateDirectory: string;
  /** SSH host keys trusted on first use. */
  readonly knownHosts: string;
  /** What the upstreams did, for those who look later. */
  readonly history: string;
}

export interface PathSources {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly home: string;
  readonly platform: NodeJS.Platform;
}

/**
 * The usual places of each system: the XDG Base Directory Specification on Linux and its like, `Library` on macOS, `AppData` on
 * Windows. Pure: nothing is made, nothing looked up.
 */
export function defaultPaths(sources: PathSources): Paths {
  const path = sources.platform === "win32" ? win32 : posix;
  const { config, state } = directoriesOf(sources);
  return {
    config: path.join(config, "config.yaml"),
    secretsDirectory: path.join(config, "secrets"),
    stateDirectory: state,
    knownHosts: path.join(state, "known_hosts"),
    history: path.join(state, "history.db"),
  };
}

function directoriesOf({ env, home, platform }: PathSources): Record<"config" | "state", string> {
  switch (platform) {
    case "darwin": {
      const directory = posix.join(home, "Library", "Application Support", "Sockeye");
      return { config: directory, state: directory };
    }
    case "win32": {
      const roaming = env["APPDATA"] || win32.join(home, "AppData", "Roaming");
      const local = env["LOCALAPPDATA"] || win32.join(home, "AppData", "Local");
      return { config: win32.join(roaming, "Sockeye"), state: win32.join(local, "Sockeye") };
    }
    default: {
      const config = posix.join(xdg(env["XDG_CONFIG_HOME"]) ?? posix.join(home, ".config"), "sockeye");
      const state = posix.join(xdg(env["XDG_STATE_HOME"]) ?? posix.join(home, ".local", "state"), "sockeye");
      return { config, state };
    }
  }
}

/** The specification has relative paths ignored. */
function xdg(directory: string | undefined): string | undefined {
  return directory?.startsWith("/") === true ? directory : undefined;
}
