import { isIPv6 } from "node:net";
import { DialError } from "../errors.ts";
import {
  type HostSettings,
  listSshHosts,
  readSshConfig,
  SshConfigFiles,
} from "../upstream/ssh/ssh-config.ts";
import { excerpt, type Finds, type Found, ImportError, literal, type Skipped } from "./found.ts";
import { readPlace, sshUpstream } from "./ssh-command.ts";

/** Hosts that are looked up; a file with more is not one that a person chooses from. */
const MAX_HOSTS = 500;
/** A hop's hop and so on. */
const MAX_JUMPS = 8;

/** The text's name in sentences. */
const TEXT = "the text";

/** The hosts of an ssh_config that stands for itself: what it includes is not there. */
export async function readSshConfigText(text: string): Promise<Finds> {
  const files = new SshConfigFiles({ path: TEXT, text });
  const finds = await new HostReader(TEXT, files, false).read();
  if (!/^[ \t]*include[ \t=]/im.test(text)) return finds;
  const skipped = { from: "Include", why: "files that a text includes are not read; import them one by one" };
  return { ...finds, skipped: [...finds.skipped, skipped] };
}

/**
 * The hosts of the user's own file, which an upstream can go on using: what has no key of ours stays there.
 * @param path of ~/.ssh/config.
 */
export async function readOwnSshConfig(path: string): Promise<Finds> {
  return new HostReader(path, new SshConfigFiles(), true).read();
}

class HostReader {
  readonly #path: string;
  readonly #files: SshConfigFiles;
  readonly #own: boolean;
  readonly #found = new Map<string, Found>();
  readonly #skipped: Skipped[] = [];

  constructor(path: string, files: SshConfigFiles, own: boolean) {
    this.#path = path;
    this.#files = files;
    this.#own = own;
  }

  async read(): Promise<Finds> {
    let hosts: string[];
    try {
      hosts = await listSshHosts(this.#path, this.#files);
    } catch (error) {
      if (!(error instanceof DialError)) throw error;
      return { found: [], skipped: [{ from: this.#path, why: error.message }] };
    }
    if (hosts.length > MAX_HOSTS) {
      const why = `only the first ${MAX_HOSTS} of ${hosts.length} hosts were looked at`;
      this.#skipped.push({ from: this.#path, why });
    }
    for (const host of hosts.slice(0, MAX_HOSTS)) {
      try {
        await this.#add(host, undefined, []);
      } catch (error) {
        if (!(error instanceof ImportError) && !(error instanceof DialError)) throw error;
        this.#skipped.push({ from: `Host ${excerpt(host)}`, why: error.message });
      }
    }
    return { found: [...this.#found.values()], skipped: this.#skipped };
  }

  /**
   * Adds a host and the hops before it.
   * @param hop `[user@]host[:port]`, where host may be an alias.
   * @param via the find that leads there, whatever the file says of it; undefined where the file decides.
   * @param above the hops that asked for this one.
   * @returns its id.
   */
  async #add(hop: string, via: string | undefined, above: readonly string[]): Promise<string> {
    const id = via === undefined ? hop : `${hop} through ${via}`;
    if (this.#found.has(id)) return id;
    if (above.includes(id) || above.length > MAX_JUMPS)
      throw new ImportError("its ProxyJump leads in a circle");
    const place = readPlace(hop);
    const decided = { user: place.user, port: place.port === undefined ? undefined : Number(place.port) };
    const settings = await readSshConfig(this.#path, place.host, decided, this.#files);
    const jumps =
      via === undefined && settings.proxy !== undefined && "jump" in settings.proxy
        ? settings.proxy.jump
        : [];
    let before = via;
    for (const [i, jump] of jumps.entries()) {
      before = await this.#add(jump.replace(/^ssh:\/\//i, ""), i === 0 ? undefined : before, [...above, id]);
    }
    const { upstream, warnings } = this.#describe(place, settings, before);
    const from = above.length === 0 ? `Host ${excerpt(hop)}` : `ProxyJump ${excerpt(hop)}`;
    this.#found.set(id, { id, name: place.host, upstream, via: before, from, warnings });
    return id;
  }

  #describe(
    place: ReturnType<typeof readPlace>,
    settings: HostSettings,
    via: string | undefined,
  ): Pick<Found, "upstream" | "warnings"> {
    const command = via === undefined && settings.proxy !== undefined && "command" in settings.proxy;
    const needsFile = command || settings.hostKeyAlias !== undefined;
    if (needsFile && this.#own) {
      const why = command ? "ProxyCommand" : "HostKeyAlias";
      const warning = `${why} has no key of ours: it stays in ~/.ssh/config, where the upstream goes on reading it`;
      return { upstream: { ...sshUpstream(place), ssh_config: true }, warnings: [warning] };
    }
    const warnings: string[] = [];
    if (needsFile)
      warnings.push(
        `${command ? "ProxyCommand" : "HostKeyAlias"} can't be taken from a text and was left out`,
      );
    if (settings.strictHostKeyChecking === "off") {
      warnings.push("StrictHostKeyChecking no was left out: anyone on the way could pose as this host");
    }
    const port = place.port ?? (settings.port === undefined ? undefined : String(settings.port));
    const host = settings.hostName ?? place.host;
    if (host.includes(":") && !isIPv6(host))
      throw new ImportError(`"${excerpt(host)}" is neither a host name nor an address`);
    const { identityFiles, userKnownHostsFiles: known, strictHostKeyChecking: check } = settings;
    return {
      upstream: {
        ...sshUpstream({ user: place.user ?? settings.user, host, port }),
        ...(identityFiles.length > 0 && { identity_file: identityFiles.map(literal) }),
        ...(settings.identityAgent !== undefined && { agent: settings.identityAgent }),
        ...(known !== undefined && known.length > 0 && { known_hosts_file: known.map(literal) }),
        ...(check !== undefined && check !== "off" && { host_key_check: check }),
      },
      warnings,
    };
  }
}
