/** From nothing to an SSH client that is authenticated: the way there, the host key, the credentials. */
import { Socket, type OnReadOpts } from "node:net";
import type { Duplex } from "node:stream";
import ssh2, { type Client } from "ssh2";
import type { CancelSignal } from "../../cancel.ts";
import type { Secret, SshUpstreamConfig } from "../../config/config.ts";
import { formatEndpoint } from "../../endpoint.ts";
import { abortReason, DialError, type DialStep } from "../../errors.ts";
import type { Dialer } from "../dialer.ts";
import { quoteFirstWords } from "../first-words.ts";
import type { Prompter } from "../prompter.ts";
import type { UpstreamLog } from "../upstream.ts";
import { Authentication } from "./auth.ts";
import { opensIntoOwnMemory, preferredAlgorithms } from "./crypto.ts";
import { Deadline } from "../deadline.ts";
import type { SshHost } from "./host.ts";
import { HostKeyCheck, type TrustStore } from "./host-keys.ts";
import { fingerprint, keyTypeOf, type KnownHost } from "./known-hosts.ts";
import type { CredentialMemory } from "./identity.ts";
import { internalsOf } from "./internals.ts";
import { maxOfferBytes, nothingInCommon } from "./offer.ts";
import { ProxyCommandStream } from "./proxy-command.ts";
import { TransportReader } from "./transport-reader.ts";

/** What all connections of one upstream share, hops included. */
export interface SshContext {
  /** The upstream's name. */
  readonly name: string;
  readonly config: SshUpstreamConfig;
  /** Seconds. */
  readonly connectTimeout: number;
  readonly receiveBudgetBytes: number;
  readonly via: Dialer;
  readonly readSecret: (secret: Secret) => Promise<string>;
  readonly prompter: Prompter | undefined;
  readonly memory: CredentialMemory;
  readonly trustStore: TrustStore;
  readonly log: UpstreamLog;
}

export interface HandshakeOptions {
  readonly signal: CancelSignal;
  readonly onStep?: ((step: DialStep) => void) | undefined;
  /** Told what a person should know though nothing failed. */
  readonly onNote?: ((text: string) => void) | undefined;
  /** Told when a person is being asked, and when the answer is there: time limits stand still meanwhile. */
  readonly onPrompt?: ((open: boolean) => void) | undefined;
}

export interface Handshake {
  readonly client: Client;
  readonly transport: Duplex;
  /** Takes over the client's errors from the handshake: from here on they end the connection. */
  readonly onError: (listener: (error: Error) => void) => void;
}

export type OpenTransport = (
  options: HandshakeOptions & { onStep: (step: DialStep) => void; onread: OnReadOpts },
) => Promise<Duplex>;

/**
 * Opens the transport and carries the handshake through, within the host's connect timeout.
 * @throws {DialError} scope upstream; everything opened is closed again.
 */
export async function shakeHands(
  host: SshHost,
  context: SshContext,
  openTransport: OpenTransport,
  options: HandshakeOptions,
): Promise<Handshake> {
  const where = formatEndpoint(host.server);
  const deadline = new Deadline(
    options.signal,
    host.connectTimeoutMs,
    (step) => `${where} did not get through ${stepName(step)} within ${host.connectTimeoutMs / 1000} s`,
  );
  const onStep = (step: DialStep): void => {
    deadline.step = step;
    options.onStep?.(step);
  };
  try {
    const prompter = context.prompter?.present === false ? undefined : context.prompter;
    const onPrompt = (open: boolean): void => {
      deadline.pause(open);
      options.onPrompt?.(open);
    };
    const hostKey: HostKeyCheck = await HostKeyCheck.load({
      server: host.server,
      alias: host.hostKeyAlias,
      files: host.knownHostsFiles,
      trustStore: context.trustStore,
      mode: host.hostKeyMode ?? (prompter === undefined ? "accept-new" : "ask"),
      ask:
        prompter &&
        (async (key) => {
          onPrompt(true);
          try {
            return await askToTrust({ key, host, hostKey, context, prompter, signal: deadline.signal });
          } finally {
            onPrompt(false);
          }
        }),
    });
    const reader = new TransportReader();
    const transport = await openTransport({ signal: deadline.signal, onStep, onread: reader.onread });
    if (transport instanceof Socket) {
      reader.attach(transport);
      transport.setNoDelay(true);
      transport.setKeepAlive(true, 15_000);
    }
    const authentication = new Authentication({
      upstream: context.name,
      host,
      readSecret: context.readSecret,
      prompter,
      memory: context.memory,
      signal: deadline.signal,
      onPrompt,
    });
    onStep("handshake");
    const handshake = await connectClient({
      host,
      transport,
      hostKey,
      authentication,
      deadline,
      onStep,
      heard: Buffer.alloc(0),
      onTrusted: (key) => {
        const { sentence, fields } = newlyTrusted(host, key);
        context.log.info({ upstream: context.name, ...fields }, sentence);
        options.onNote?.(sentence);
        const authority = hostKey.unusedAuthority;
        if (authority === undefined) return;
        const warning = authorityIgnored(host, authority);
        context.log.warn({ upstream: context.name, ...fields }, warning);
        options.onNote?.(warning);
      },
    });
    const { _protocol: protocol } = internalsOf(handshake.client);
    // While keys are exchanged, what comes may be read by code that keeps it.
    reader.lendWhile(() => protocol._kexinit === undefined && opensIntoOwnMemory(protocol._decipher));
    return handshake;
  } catch (error) {
    // A question that is still open has nothing to be answered for.
    deadline.abort(error);
    throw error;
  } finally {
    deadline.clear();
  }
}

interface TrustQuestion {
  readonly key: Buffer;
  readonly host: SshHost;
  readonly hostKey: HostKeyCheck;
  readonly context: SshContext;
  readonly prompter: Prompter;
  readonly signal: AbortSignal;
}

/** Asks a person, in turn with what else the upstream asks; nobody is asked twice for one key that was trusted. */
async function askToTrust(question: TrustQuestion): Promise<boolean> {
  const { key, host, hostKey, context, prompter, signal } = question;
  return await context.memory.inTurn(async () => {
    if (signal.aborted) return false;
    if (await hostKey.isKnownByNow(key)) return true;
    const answer = await prompter.ask(
      {
        kind: "host-key",
        upstream: context.name,
        host: formatEndpoint(host.server),
        keyType: keyTypeOf(key) ?? "malformed",
        fingerprint: fingerprint(key),
      },
      signal,
    );
    return answer?.trim().toLowerCase() === "yes";
  });
}

/**
 * Of what is sent and waits for the server to read it. Flows' data stops far below it (mux.ts); what is left are answers to the server's own
 * questions, which ssh2 gives at once, and as many as are asked.
 */
const maxUnreadBytes = 4 * 1024 * 1024;

interface ClientParts {
  readonly host: SshHost;
  readonly transport: Duplex;
  readonly hostKey: HostKeyCheck;
  readonly authentication: Authentication;
  readonly deadline: Deadline;
  readonly onStep: (step: DialStep) => void;
  /** The key of a host never seen was accepted and remembered. */
  readonly onTrusted: (key: Buffer) => void;
  /** The peer's first bytes, as far as they have come: they tell whether it is an SSH server, and what it offers. */
  heard: Buffer;
}

function newlyTrusted(host: SshHost, key: Buffer) {
  const where = formatEndpoint(host.server);
  const fields = { host: where, key_type: keyTypeOf(key), fingerprint: fingerprint(key) };
  const sentence = `${where} was met for the first time: its host key ${fields.fingerprint} (${fields.key_type}) is now trusted`;
  return { fields, sentence };
}

function authorityIgnored(host: SshHost, { file, line }: KnownHost): string {
  return (
    `${file} line ${line} names a certificate authority for ${formatEndpoint(host.server)}, but host certificates are ` +
    `not supported: the plain key was trusted instead (host_key_check strict refuses that)`
  );
}

async function connectClient(parts: ClientParts): Promise<Handshake> {
  const { host, transport, hostKey, authentication, deadline, onStep, onTrusted } = parts;
  const client = new ssh2.Client();
  const { promise, resolve, reject } = Promise.withResolvers<undefined>();
  // The client may still tell of its end when nobody waits any more.
  promise.catch(() => undefined);
  let acceptedKey: Buffer | undefined;

  // One listener for the client's whole life: there is no moment at which an error has nobody to go to.
  let onError = (error: Error): void => {
    reject(handshakeError(error, parts));
  };
  client.on("error", (error: Error & { level?: string }) => {
    // An agent that fails at signing is one method less; ssh2 goes on with the next.
    if (error.level === "agent") authentication.note(`the agent (${error.message})`);
    else onError(error);
  });
  client.once("ready", () => resolve(undefined));
  client.once("close", () => reject(closedEarly(parts)));
  client.once("end", () => reject(closedEarly(parts)));
  client.on("handshake", () => {
    transport.removeListener("data", hear);
    onStep("auth");
  });
  client.on("change password", () => {
    authentication.note("password (the server wants it to be changed first)");
    reject(authentication.failure());
  });
  const onAbort = (): void => reject(abortReason(deadline.signal));
  deadline.signal.addEventListener("abort", onAbort, { once: true });

  const hear = (chunk: Buffer): void => {
    parts.heard = Buffer.concat([parts.heard, chunk.subarray(0, maxOfferBytes - parts.heard.length)]);
    if (parts.heard.length === maxOfferBytes) transport.removeListener("data", hear);
  };
  const verify = (key: Buffer, accept: (ok: boolean) => void): void => {
    // A new exchange of keys within the connection must show the same one.
    if (acceptedKey !== undefined) {
      accept(acceptedKey.equals(key));
      return;
    }
    onStep("host-key");
    hostKey.verify(key).then(
      (verdict) => {
        acceptedKey = Buffer.from(key);
        if (verdict === "new") onTrusted(acceptedKey);
        accept(true);
      },
      (error: unknown) => {
        reject(error);
        accept(false);
      },
    );
  };

  try {
    if (deadline.signal.aborted) throw abortReason(deadline.signal);
    client.connect({
      sock: transport,
      username: host.user,
      ident: "Sockeye",
      // Time limits and keepalives are ours: ssh2's know neither prompts nor sleep.
      readyTimeout: 0,
      keepaliveInterval: 0,
      algorithms: { ...preferredAlgorithms(), serverHostKey: hostKey.algorithms },
      hostVerifier: verify,
      authHandler: authentication.next,
    });
    // ssh2 reads already: more listeners change nothing for it. The first comes first, for ssh2 fails on what it has just read.
    transport.prependListener("data", hear);
    transport.on("data", () => {
      if (transport.writableLength > maxUnreadBytes && !transport.destroyed)
        onError(new Error("the server asks on and does not read our answers"));
    });
    await promise;
    authentication.succeeded();
  } catch (error) {
    onError = () => undefined;
    transport.destroy();
    throw error instanceof DialError ? error : handshakeError(error as Error, parts);
  } finally {
    deadline.signal.removeEventListener("abort", onAbort);
    transport.removeListener("data", hear);
  }
  return {
    client,
    transport,
    onError: (listener) => {
      onError = listener;
    },
  };
}

/** SSH_MSG_DISCONNECT reasons (RFC 4253 §11.1). */
const disconnectProtocolError = 2;
const disconnectNoMoreMethods = 14;

/** What ssh2 reports, by the `level` it gives, in our codes. */
function handshakeError(error: Error & { level?: string; code?: unknown }, parts: ClientParts): DialError {
  const where = formatEndpoint(parts.host.server);
  const { step } = parts.deadline;
  const failed = (code: DialError["code"], sentence: string): DialError =>
    new DialError(code, sentence, { step, scope: "upstream", cause: error });
  const authenticating = step === "auth";
  switch (error.level) {
    case "client-authentication":
      return parts.authentication.failure(error);
    case "client-socket":
      return failed("closed", `the connection to ${where} broke: ${error.message}`);
    case "handshake":
      return failed(
        "protocol",
        `no SSH handshake with ${where}: ${nothingInCommon(error.message, parts.heard) ?? error.message}`,
      );
    case "protocol":
      if (error.message.includes("lost before handshake")) return closedEarly(parts, error);
      return failed("protocol", `${where} broke the SSH protocol: ${error.message}`);
    default:
      break;
  }
  if (typeof error.code === "number") {
    const tooMany = error.code === disconnectProtocolError && /authentication failures/i.test(error.message);
    if (authenticating && (tooMany || error.code === disconnectNoMoreMethods)) {
      parts.authentication.tooManyAttempts(error.message);
      return parts.authentication.failure(error);
    }
    return failed("closed", `${where} ended the connection: ${error.message}`);
  }
  return failed("protocol", `what answers at ${where} does not speak SSH: ${error.message}`);
}

/** What OpenSSH says in place of its version: too many who have not logged in yet (MaxStartups), or a penalty for an address. */
const overloaded = /^(?:Exceeded MaxStartups|Not allowed at this time)/;

function closedEarly(parts: ClientParts, cause?: unknown): DialError {
  const { host, transport, deadline, heard } = parts;
  const options = { step: deadline.step, scope: "upstream", cause } as const;
  // A server may send lines of its own before its version (RFC 4253 §4.2).
  if (heard.length > 0 && !/^SSH-/m.test(heard.toString("latin1"))) {
    if (overloaded.test(heard.toString("latin1"))) {
      const busy = `the SSH server at ${formatEndpoint(host.server)} turns connections away for now: it says ${quoteFirstWords(heard)}`;
      return new DialError("limit", busy, options);
    }
    const sentence = `what answers at ${formatEndpoint(host.server)} does not speak SSH: it says ${quoteFirstWords(heard)}`;
    return new DialError("protocol", sentence, options);
  }
  const program = transport instanceof ProxyCommandStream ? `; ${transport.describe()}` : "";
  const sentence = `${formatEndpoint(host.server)} closed the connection during ${stepName(deadline.step)}${program}`;
  return new DialError("closed", sentence, options);
}

function stepName(step: DialStep | undefined): string {
  switch (step) {
    case "name":
      return "the look-up of its name";
    case "tcp":
      return "the TCP connect";
    case "tls":
      return "the TLS handshake";
    case "handshake":
      return "the SSH handshake";
    case "host-key":
      return "the check of its host key";
    case "auth":
      return "authentication";
    case "dial":
    case undefined:
      return "the connect";
  }
}
