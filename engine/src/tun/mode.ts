import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { Config } from "../config/config.ts";
import type { EngineStatus } from "../control/contract.ts";
import { DEVICE_ADDRESSES, type DnsPlan, planDns } from "../dns/plan.ts";
import { DnsService } from "../dns/service.ts";
import { openPipeDevice } from "../device/pipe-device.ts";
import { openTunDevice } from "../device/tun-device.ts";
import { BoundSockets } from "../helper/bound-sockets.ts";
import type { HelperClient, OpenedDevice } from "../helper/client.ts";
import type { DnsWay } from "../helper/protocol.ts";
import type { HelperSource } from "../helper/source.ts";
import { MarkedSockets } from "../helper/marked-sockets.ts";
import type { InboundHandler } from "../inbound/request.ts";
import { openTun, type TunInbound } from "../inbound/tun.ts";
import type { TunDns, TunNames } from "../inbound/tun-names.ts";
import type { PacketDevice } from "../netstack/device.ts";
import type { Logger } from "../observe/log.ts";
import { summarize, type TunNumbers } from "../observe/tun-metrics.ts";
import type { Router } from "../router/route.ts";
import { Backoff } from "../upstream/backoff.ts";
import type { Dialer } from "../upstream/dialer.ts";
import type { Egress } from "../upstream/egress.ts";
import type { Resolver } from "../upstream/resolver.ts";
import { readLocalNetworks } from "./local-networks.ts";
import { endangeredSessions } from "./inbound-sessions.ts";
import { findOverlaps } from "./preflight.ts";
import { Reachability } from "./reachability.ts";
import { stackLimits } from "./stack-limits.ts";
import { ResolvConfWatch } from "./resolv-conf-watch.ts";
import { type Resolving, resolvePast, systemResolvConf } from "./resolving.ts";

/** The system adds a number. */
const DEVICE_NAME = "sockeye";
/** Those that the helper, the device and sockets past it are written for. */
const SYSTEMS: readonly string[] = ["linux", "darwin", "win32"];

export interface TunModeOptions {
  readonly handler: InboundHandler;
  readonly helper: HelperSource;
  readonly egress: Egress;
  readonly resolver: Resolver;
  readonly upstream: (name: string) => Dialer | undefined;
  readonly log: Logger;
  /** A connection or a UDP source came. */
  readonly onAccept: () => void;
  /** What a person should know: a captured network that is used otherwise. */
  readonly onWarning: (sentence: string) => void;
}

type TunState = EngineStatus["tun"];

/** A configuration with its router. */
interface Wanted {
  readonly config: Config;
  readonly router: Router;
}

/**
 * TUN mode: the machine's own traffic, captured by a device and carried like that of the listeners. It owns the session with
 * the helper, the device with its stack, and what has to change in the engine meanwhile: where its own sockets come from and
 * how it resolves names, so that no connection of its own is captured.
 */
export class TunMode {
  readonly #options: TunModeOptions;
  #running: Running | undefined;
  #lost: Error | undefined;
  #wanted: Wanted | undefined;
  /** Ends the attempts to come back. */
  #retry: AbortController | undefined;
  /** Those attempts; settled where there are none. */
  #comingBack: Promise<void> = Promise.resolve();

  constructor(options: TunModeOptions) {
    this.#options = options;
  }

  get state(): TunState {
    if (this.#running) return this.#running.state;
    return this.#lost ? { state: "lost", error: this.#lost.message } : { state: "off" };
  }

  /** Undefined while it is off. */
  get numbers(): TunNumbers | undefined {
    return this.#running?.numbers;
  }

  /**
   * Opens, changes or closes the device until it is as the configuration has it.
   * @throws {Error} with a sentence for people, where the helper is missing or refuses; then what was there before is closed.
   */
  async apply(config: Config, router: Router): Promise<void> {
    await this.#endRetry();
    const before = this.#wanted;
    this.#wanted = config.tun.enabled ? { config, router } : undefined;
    if (!this.#wanted) {
      await this.#stop();
      return;
    }
    if (this.#running && before?.config.tun.mtu === config.tun.mtu) await this.#running.change(this.#wanted);
    else {
      await this.#stop();
      await this.#start(this.#wanted);
    }
  }

  /** The machine has other addresses, or another default route. */
  networkChanged(): void {
    this.#running?.networkChanged().catch((error: unknown) => {
      this.#options.log.error({ err: error }, "TUN mode: what is excluded could not follow the network");
    });
  }

  /**
   * Gives everything back to the system. Connections through the device are cut, and their applications told.
   * @param options.liftKillSwitch one may be left of a session that has ended: it is released as well. One that was left by
   * our own is in any case.
   */
  async close(options: { readonly liftKillSwitch?: boolean } = {}): Promise<void> {
    await this.#endRetry();
    const left = this.#lost !== undefined && this.#wanted?.config.tun.block_when_disconnected === true;
    const lift = this.#running === undefined && (left || options.liftKillSwitch === true);
    this.#wanted = undefined;
    await this.#stop();
    if (lift) await this.#liftKillSwitch();
  }

  /** The helper of a session that has ended knows of it no more: a new session releases it. */
  async #liftKillSwitch(): Promise<void> {
    const { helper, log } = this.#options;
    try {
      const client = await helper.session();
      try {
        for (const problem of await client.release()) log.error(`TUN mode: ${problem}`);
      } finally {
        helper.done(client);
      }
    } catch (error) {
      log.warn({ err: error }, "TUN mode: a kill switch that may be left could not be released");
    }
  }

  async #start(wanted: Wanted): Promise<void> {
    const running = await Running.start(wanted, this.#options, (error) => this.#onLost(running, error));
    this.#running = running;
    this.#lost = undefined;
    const { log } = this.#options;
    log.info({ tun: running.state }, "TUN mode is on");
  }

  async #stop(): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    this.#lost = undefined;
    if (!running) return;
    const problems = await running.stop();
    const { log } = this.#options;
    for (const problem of problems) log.error(`TUN mode: ${problem}`);
    log.info("TUN mode is off");
  }

  #onLost(running: Running, error: Error): void {
    if (this.#running !== running) return;
    this.#running = undefined;
    this.#lost = error;
    this.#options.log.error({ err: error }, "TUN mode ended by itself; it is tried again");
    this.#retry = new AbortController();
    this.#comingBack = this.#comeBack(running, this.#retry.signal);
  }

  /** Never rejects. */
  async #comeBack(lost: Running, signal: AbortSignal): Promise<void> {
    // What it changed in the engine must be undone before another one changes it. The kill switch is for this very moment.
    await lost.stop({ keepKillSwitch: true });
    const backoff = new Backoff(500, 30_000);
    for (let attempt = 1; ; attempt++) {
      await sleep(backoff.next(), undefined, { ref: false, signal }).catch(() => {});
      const wanted = this.#wanted;
      if (signal.aborted || !wanted) return;
      try {
        await this.#start(wanted);
        return;
      } catch (error) {
        this.#lost = error as Error;
        this.#options.log[attempt === 1 ? "warn" : "debug"](
          { err: error },
          "TUN mode does not come back yet",
        );
      }
    }
  }

  /** Resolves once no attempt is under way any more; one that has just succeeded stays. */
  async #endRetry(): Promise<void> {
    this.#retry?.abort();
    this.#retry = undefined;
    await this.#comingBack;
  }
}

/** TUN mode while it is on. */
class Running {
  readonly #options: TunModeOptions;
  readonly #client: HelperClient;
  readonly #sockets: MarkedSockets | BoundSockets;
  readonly #resolving: Resolving;
  readonly #dns: DnsService;
  readonly #reachability: Reachability;
  readonly #ipv6: boolean;
  readonly #resolvConf: ResolvConfWatch | undefined;
  #inbound!: TunInbound;
  #wanted: Wanted;
  #networks: readonly string[] = [];
  #asksUs: DnsPlan | undefined;
  /** How the system was told. */
  #dnsWay: DnsWay = "none";

  /** Opens the device and captures. @throws {Error} and has undone all of it then. */
  static async start(
    wanted: Wanted,
    options: TunModeOptions,
    onLost: (error: Error) => void,
  ): Promise<Running> {
    if (!SYSTEMS.includes(process.platform))
      throw new Error(`TUN mode is for Linux, macOS and Windows; there is none on ${process.platform}`);
    warnOfOverlaps(wanted.config, undefined, options);
    // Before there is a session that would have to be ended where it fails.
    const bound = process.platform === "linux" ? undefined : new BoundSockets();
    const client = await options.helper.session();
    const running = new Running(wanted, options, client, bound ?? new MarkedSockets(client));
    try {
      await running.#open(onLost);
      await running.#capture();
    } catch (error) {
      await running.stop();
      throw error;
    }
    client.onClose(onLost);
    return running;
  }

  private constructor(
    wanted: Wanted,
    options: TunModeOptions,
    client: HelperClient,
    sockets: MarkedSockets | BoundSockets,
  ) {
    const { egress, resolver, upstream, log } = options;
    this.#wanted = wanted;
    this.#options = options;
    this.#client = client;
    this.#ipv6 = process.platform !== "linux" || hasIpv6Addresses();
    this.#sockets = sockets;
    // Before anything is captured, so that no connection of ours ever is.
    egress.source = this.#sockets;
    this.#resolving = resolvePast(this.#sockets, egress, resolver);
    const { stub, askDirectly } = this.#resolving;
    this.#dns = new DnsService({
      ...wanted,
      upstream,
      askDirectly,
      originals: stub.nameservers,
      log,
      ipv6: this.#ipv6,
    });
    this.#reachability = new Reachability({
      dialer: (target) => upstream(this.#wanted.router.route(target).to),
    });
    this.#resolvConf = process.platform === "linux" ? this.#watchResolvConf() : undefined;
  }

  get state(): TunState {
    return {
      state: "on",
      device: this.#inbound.name,
      networks: [...this.#networks],
      pending: this.#inbound.pending,
      stack: summarize(this.numbers),
    };
  }

  get numbers(): TunNumbers {
    const { size: names, capacity, refused } = this.#dns.fake;
    const handsOut = this.#wanted.config.tun.dns === "fake-ip";
    return { stack: this.#inbound.stats, fake: handsOut ? { names, capacity, refused } : undefined };
  }

  async #open(onLost: (error: Error) => void): Promise<void> {
    const { handler, onAccept } = this.#options;
    const { mtu } = this.#wanted.config.tun;
    const [ipv4, ipv6] = DEVICE_ADDRESSES;
    const addresses = this.#ipv6 ? [`${ipv4}/32`, `${ipv6}/128`] : [`${ipv4}/32`];
    const opened = await this.#client.open({ name: DEVICE_NAME, mtu, vnetHeader: true, addresses });
    const device = await openDevice(opened, mtu);
    const mode = () => this.#wanted.config.tun.dns;
    const dns = this.#dns;
    this.#inbound = openTun(
      {
        device,
        limits: stackLimits(this.#wanted.config.limits),
        // Asked for at each connection, because a reload may change the mode.
        get dns(): TunDns | undefined {
          return mode() === "off" ? undefined : dns;
        },
        get names(): TunNames | undefined {
          return mode() === "fake-ip" ? dns : undefined;
        },
        echo: (target, reachable) => void this.#answerEcho(target, reachable),
        events: {
          onAccept,
          onLost: (error) => onLost(error ?? new Error(`the device ${device.name} is gone`)),
        },
      },
      handler,
    );
  }

  async #answerEcho(address: string, reachable: (yes: boolean) => void): Promise<void> {
    const { config } = this.#wanted;
    if (!config.tun.ping) {
      reachable(false);
      return;
    }
    const host = config.tun.dns === "fake-ip" ? (this.#dns.fake.nameOf(address) ?? address) : address;
    reachable(await this.#reachability.ask(host));
  }

  /** What is captured becomes that of a new configuration. @throws {Error} */
  async change(wanted: Wanted): Promise<void> {
    const before = this.#wanted.config.tun;
    this.#wanted = wanted;
    this.#dns.update(wanted);
    this.#inbound.setLimits(stackLimits(wanted.config.limits));
    const what = ({ cidrs, exclude, block_when_disconnected: killSwitch }: Config["tun"]) =>
      String([cidrs, exclude, killSwitch]);
    if (what(wanted.config.tun) !== what(before))
      warnOfOverlaps(wanted.config, this.#inbound.name, this.#options);
    await this.#capture();
  }

  async #capture(): Promise<void> {
    const { config, router } = this.#wanted;
    const { cidrs, exclude, block_when_disconnected: killSwitch } = config.tun;
    const plan = planDns(config, router, this.#ipv6);
    const networks = [...cidrs, ...(plan?.capture ?? [])].filter((one) => this.#ipv6 || !one.includes(":"));
    await this.#client.capture({ networks: [...new Set(networks)], excluded: exclude, killSwitch });
    this.#networks = networks;
    if (!plan && !this.#asksUs) return;
    this.#dnsWay = await this.#client.dns(plan?.servers ?? [], plan?.domains ?? []);
    this.#asksUs = plan;
    this.#resolvConf?.settle();
    this.#options.log.info(
      { way: this.#dnsWay, servers: plan?.servers },
      "the system's name servers were set",
    );
  }

  #watchResolvConf(): ResolvConfWatch {
    const { log, onWarning } = this.#options;
    return new ResolvConfWatch({
      read: systemResolvConf,
      onServers: (text) => this.#resolving.stub.use(text),
      isOurs: () => this.#asksUs !== undefined && this.#dnsWay === "file",
      claim: async () => {
        const { servers, domains } = this.#asksUs ?? { servers: [], domains: [] };
        this.#dnsWay = await this.#client.dns(servers, domains);
      },
      onClaim: () => log.warn("another program changed the system's name servers; Sockeye's were set again"),
      onGivingUp: onWarning,
      onError: (error) => log.error({ err: error }, "the system's name servers could not be set again"),
    });
  }

  /** Where excluded networks are routes to a gateway, they follow it. @throws {Error} */
  async networkChanged(): Promise<void> {
    if (process.platform !== "linux") await this.#capture();
  }

  /**
   * In order: applications are told while the way to them is still open (behind a strict reverse path filter the routes are
   * part of it), then the system, so that new connections go their own way, and then those that came meanwhile.
   * @returns what could not be undone.
   */
  async stop({ keepKillSwitch = false } = {}): Promise<readonly string[]> {
    this.#resolvConf?.close();
    try {
      (this.#inbound as TunInbound | undefined)?.reset();
      return await this.#client.release({ keepKillSwitch });
    } catch (error) {
      return [(error as Error).message];
    } finally {
      this.#drop();
    }
  }

  #drop(): void {
    const { egress, helper } = this.#options;
    helper.done(this.#client);
    if (egress.source === this.#sockets) egress.source = undefined;
    this.#resolving.close();
    this.#sockets.close();
    void (this.#inbound as TunInbound | undefined)?.close();
    this.#dns.close();
  }
}

/** The packets: by the device's own descriptor, or by the helper where there is none to hand over. */
async function openDevice({ descriptor, name }: OpenedDevice, mtu: number): Promise<PacketDevice> {
  return descriptor < 0 ? openPipeDevice({ name, mtu }) : openTunDevice(descriptor, { mtu });
}

/** Without one, not even loopback's, the kernel has no IPv6, or every interface has it switched off. */
function hasIpv6Addresses(): boolean {
  try {
    return readFileSync("/proc/net/if_inet6", "utf8") !== "";
  } catch {
    return false;
  }
}

/** Preflight: told before anything is changed. */
function warnOfOverlaps(config: Config, own: string | undefined, options: TunModeOptions): void {
  for (const { message } of findOverlaps(config.tun, readLocalNetworks(own))) options.onWarning(message);
  for (const sentence of endangeredSessions(config.tun)) options.onWarning(sentence);
}
