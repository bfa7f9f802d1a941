/** An SSH server as an upstream: a pool of SSH connections, each target a direct-tcpip channel (RFC 4254 §7.2). */
import type { Limits, Secret, SshUpstreamConfig } from "../../config/config.ts";
import type { Endpoint } from "../../endpoint.ts";
import type { Dialer, DialOptions } from "../dialer.ts";
import type { Prompter } from "../prompter.ts";
import { FailureLog } from "../failure-log.ts";
import { namedFailure } from "../links.ts";
import { asDialError, SessionPool } from "../session-pool.ts";
import { runTest } from "../step-clock.ts";
import type { Upstream, UpstreamEvents, UpstreamLog } from "../upstream.ts";
import { connectSsh } from "./connection.ts";
import type { HandshakeOptions, SshContext } from "./handshake.ts";
import { TrustStore } from "./host-keys.ts";
import { CredentialMemory } from "./identity.ts";

export interface SshUpstreamOptions {
  readonly name: string;
  readonly config: SshUpstreamConfig;
  readonly limits: Pick<Limits, "connect_timeout" | "ssh_receive_budget">;
  /** How the server is reached. */
  readonly via: Dialer;
  readonly events: UpstreamEvents;
  /** Reads a secret at the moment it is needed; what it throws is told in the error of authentication. */
  readonly readSecret: (secret: Secret) => Promise<string>;
  /** Absent where nobody is there to answer. */
  readonly prompter?: Prompter | undefined;
  /** The known_hosts file of our own, for hosts first met by us. */
  readonly trustStorePath: string;
  readonly log: UpstreamLog;
}

/** Nothing is opened before the first dial. */
export function createSshUpstream(options: SshUpstreamOptions): Upstream {
  const { name, config, limits, events, log } = options;
  const context: SshContext = {
    name,
    config,
    connectTimeout: limits.connect_timeout,
    receiveBudgetBytes: limits.ssh_receive_budget * 1024 * 1024,
    via: options.via,
    readSecret: options.readSecret,
    prompter: options.prompter,
    memory: new CredentialMemory(),
    trustStore: new TrustStore(options.trustStorePath),
    log,
  };
  const failures = new FailureLog(log, name);
  let closing = false;
  const pool = new SessionPool({
    size: config.pool_size,
    strategy: config.strategy,
    connect: async (connectOptions) => {
      const startedAt = performance.now();
      try {
        const connection = await connectSsh(context, connectOptions);
        const durationMs = Math.round(performance.now() - startedAt);
        failures.forget();
        log.debug({ upstream: name, duration_ms: durationMs }, `connected to ${config.address}`);
        connection.onceClosed((error) => {
          // That it was lost is told with its reason; that we closed it is no news.
          log[closing ? "debug" : "info"]({ upstream: name, code: error.code }, error.message);
        });
        return connection;
      } catch (error) {
        if (!closing) failures.tell(asDialError(error));
        throw error;
      }
    },
    onStateChange: (connected) => events.onStateChange(name, connected),
    onReconnect: () => events.onReconnect(name),
  });
  return {
    name,
    type: "ssh",
    dial: async (target, dialOptions) => {
      try {
        return await pool.dial(target, dialOptions);
      } catch (error) {
        throw namedFailure(error, name, dialOptions.signal);
      }
    },
    status: () => pool.status(),
    test: async (testOptions) =>
      runTest(testOptions, async (dialOptions, onNote) =>
        connectOnce(context, { ...dialOptions, onNote, onPrompt: testOptions.onPrompt }, testOptions.target),
      ),
    keepWarm: (on) => pool.keepWarm(on),
    refresh: () => pool.refresh(),
    close: async (drainMs) => {
      closing = true;
      await pool.close(drainMs);
    },
  };
}

/** Beside the pool, and only as far as it is asked. */
async function connectOnce(
  context: SshContext,
  options: DialOptions & HandshakeOptions,
  target?: Endpoint,
): Promise<void> {
  const connection = await connectSsh(context, options);
  try {
    if (target !== undefined) (await connection.dial(target, options)).destroy();
  } finally {
    connection.close();
  }
}
