import { DNS_SERVERS } from "../dns/plan.ts";
import { parseResolvConf } from "../dns/system-settings.ts";

/** How often the file is read: it is small, and lies behind links and mounts that notifications do not follow. */
const INTERVAL_MS = 2000;
/** Whoever changed the file again within this time of our setting it is taken for one that means to. */
const DISPUTE_MS = 10 * 60_000;
/** Times that it is set again in a dispute. */
const MAX_CLAIMS = 3;
/** Between two of them, and twice as long each time. */
const FIRST_PAUSE_MS = 5000;

export interface ResolvConfWatchOptions {
  /** The text that names the system's servers now. */
  readonly read: () => string;
  /** The system has other servers than before; `text` names them. */
  readonly onServers: (text: string) => void;
  /** Whether the file is to name us. */
  readonly isOurs: () => boolean;
  /** Has the file name us again. What is in it then is what it goes back to in the end. */
  readonly claim: () => Promise<void>;
  /** For people, once: somebody else keeps changing the file, and is left to. */
  readonly onGivingUp: (sentence: string) => void;
  readonly onClaim: () => void;
  readonly onError: (error: unknown) => void;
  /** Milliseconds of a clock that never goes back. */
  readonly now?: () => number;
}

/**
 * Notices that another program, a DHCP client say or another VPN, has written /etc/resolv.conf while TUN mode is on. Its servers
 * are taken over for our own questions; and where the file is to name us, it is made to again: a few times, with growing pauses,
 * after which the other program has its way and a person is told.
 */
export class ResolvConfWatch {
  readonly #options: ResolvConfWatchOptions;
  readonly #now: () => number;
  readonly #timer: NodeJS.Timeout;
  #seen: string;
  #claims = 0;
  #claimedAt = -Infinity;
  #claiming = false;
  #gaveUp = false;

  constructor(options: ResolvConfWatchOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    this.#seen = options.read();
    this.#timer = setInterval(() => void this.check(), INTERVAL_MS);
    this.#timer.unref();
  }

  /** What is wanted is new: a dispute that was given up begins anew. */
  settle(): void {
    this.#claims = 0;
    this.#gaveUp = false;
    this.#claimedAt = this.#now();
  }

  close(): void {
    clearInterval(this.#timer);
    this.#gaveUp = true;
  }

  /** Called by itself every few seconds. Never rejects. */
  async check(): Promise<void> {
    const { read, onServers } = this.#options;
    const text = read();
    // Whoever writes it may be in the middle of it.
    if (!text.includes("nameserver")) return;
    const { nameservers } = parseResolvConf(text);
    if (text !== this.#seen && nameservers.some((host) => !isOurServer(host))) onServers(text);
    this.#seen = text;
    if (!isOurServer(nameservers[0]!)) await this.#claim();
  }

  async #claim(): Promise<void> {
    const { isOurs, claim, onClaim, onGivingUp, onError } = this.#options;
    if (!isOurs() || this.#claiming || this.#gaveUp) return;
    const quiet = this.#now() - this.#claimedAt;
    if (quiet > DISPUTE_MS) this.#claims = 0;
    if (this.#claims > 0 && quiet < FIRST_PAUSE_MS * 2 ** (this.#claims - 1)) return;
    if (this.#claims === MAX_CLAIMS) {
      this.#gaveUp = true;
      onGivingUp(
        "another program keeps changing /etc/resolv.conf, so it is left alone: names that routes mention do not work " +
          "until that program is told to leave the file, and the configuration is read again",
      );
      return;
    }
    this.#claiming = true;
    try {
      await claim();
      onClaim();
    } catch (error) {
      onError(error);
    } finally {
      this.#claims++;
      this.#claimedAt = this.#now();
      this.#claiming = false;
    }
  }
}

function isOurServer(host: string): boolean {
  return (DNS_SERVERS as readonly string[]).includes(host);
}
