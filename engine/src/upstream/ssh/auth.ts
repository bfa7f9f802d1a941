/** Proving who we are (RFC 4252): agent, identity files, password, keyboard-interactive (RFC 4256), in this order. */
import type { AnyAuthMethod, AuthenticationType, NextAuthHandler, ParsedKey } from "ssh2";
import type { Secret } from "../../config/config.ts";
import { formatEndpoint } from "../../endpoint.ts";
import { DialError } from "../../errors.ts";
import type { Prompt, Prompter } from "../prompter.ts";
import { AgentKeys } from "./agent-keys.ts";
import {
  type CredentialMemory,
  hasCertificate,
  publicKeyOf,
  readIdentity,
  type Identity,
} from "./identity.ts";
import type { SshHost } from "./host.ts";

export interface AuthOptions {
  /** The upstream's name, for prompts. */
  readonly upstream: string;
  readonly host: SshHost;
  readonly readSecret: (secret: Secret) => Promise<string>;
  readonly prompter?: Prompter | undefined;
  readonly memory: CredentialMemory;
  readonly signal: AbortSignal;
  /** Told when a person is being asked, and when the answer is there: the handshake's deadline then stands still. */
  readonly onPrompt: (open: boolean) => void;
}

/** As ssh has it: a passphrase is typed unseen, and a slip must not cost the connection. */
const maxPassphrasePrompts = 3;

type OpenKey = Extract<Identity, { kind: "encrypted" }>["open"];

type Method = "publickey" | "password" | "keyboard-interactive";

/** One thing to try. `prepare` does what takes time, and gives nothing where there is nothing to offer. */
interface Candidate {
  readonly method: Method;
  readonly label: string;
  prepare(): Promise<AnyAuthMethod | undefined>;
}

/** One connection's authentication: what ssh2 asks for the next method, and afterwards the story of why it failed. */
export class Authentication {
  readonly #options: AuthOptions;
  readonly #untried: Candidate[];
  readonly #tried: string[] = [];
  readonly #skipped: string[] = [];
  #offered: readonly string[] = [];
  /** ssh2 does not pass on what the server answers to an agent's key: until the next answer, `#offered` may be old. */
  #offerIsStale = false;
  #offeredKey = false;
  #usedPassword: string | undefined;
  #agentKeys: AgentKeys | undefined;

  constructor(options: AuthOptions) {
    this.#options = options;
    this.#untried = this.#candidates();
  }

  /** ssh2's `authHandler`. The first call finds out what the server takes (method `none`, RFC 4252 §5.2). */
  readonly next = (
    offered: AuthenticationType[] | null,
    _partial: boolean | null,
    use: NextAuthHandler,
  ): void => {
    if (offered === null && this.#tried.length === 0) {
      use({ type: "none", username: this.#options.host.user });
      return;
    }
    if (offered !== null) this.#offered = offered;
    this.#choose().then(
      (method) => {
        if (!this.#options.signal.aborted) answer(use, method);
      },
      (error: unknown) => {
        this.#skipped.push((error as Error).message);
        answer(use, undefined);
      },
    );
  };

  /** Keeps what was accepted, for the next connection. */
  succeeded(): void {
    if (this.#usedPassword !== undefined) this.#options.memory.keepPassword(this.#who(), this.#usedPassword);
  }

  /** Adds something that went wrong on the way, for the final sentence, where it stands once. */
  note(reason: string): void {
    if (!this.#skipped.includes(reason)) this.#skipped.push(reason);
  }

  /** The `auth` error: what was tried, what was skipped and why, and what the server takes. */
  failure(cause?: unknown): DialError {
    const { host } = this.#options;
    const agent = this.#agentKeys?.describe();
    if (this.#offered.includes("publickey") && !this.#offeredKey) this.#noteNoKey();
    const tried = this.#tried.map((label) => (label === "agent" && agent !== undefined ? agent : label));
    const parts = [
      `${formatEndpoint(host.server)} did not accept ${host.user}`,
      tried.length === 0 ? "nothing of ours could be tried" : `tried ${tried.join(", ")}`,
      ...(this.#offered.length === 0 ? [] : [`the server takes ${this.#offered.join(", ")}`]),
      ...(this.#skipped.length === 0 ? [] : [`left out: ${this.#skipped.join("; ")}`]),
    ];
    if (tried.includes("password") || tried.includes("keyboard-interactive")) {
      this.#options.memory.forgetPassword(this.#who(), this.#usedPassword);
    }
    return new DialError("auth", parts.join("; "), { step: "auth", scope: "upstream", cause });
  }

  /** The server hung up after so many attempts, with things left to try. */
  tooManyAttempts(said: string): void {
    const advice =
      (this.#agentKeys?.count ?? 0) > 1
        ? "; identity_file says which of the agent's keys goes first, and agent: false leaves the agent out"
        : "";
    this.note(`what would have come after (the server said: ${said}${advice})`);
  }

  /** Where keys were chosen, each has its own reason; the usual ones need not be there, and nobody has been told of them. */
  #noteNoKey(): void {
    const { agent, identitiesChosen, identityFiles } = this.#options.host;
    if (identitiesChosen) return;
    const noAgent = agent === undefined ? "there is no agent, and " : "";
    this.note(`publickey (${noAgent}none of ${identityFiles.join(", ")} could be used)`);
  }

  #candidates(): Candidate[] {
    const { host } = this.#options;
    const candidates: Candidate[] = [];
    if (host.agent !== undefined) {
      const socket = host.agent;
      candidates.push({
        method: "publickey",
        label: "agent",
        prepare: async () => this.#prepareAgent(socket),
      });
    }
    for (const file of host.identityFiles) {
      candidates.push({ method: "publickey", label: file, prepare: async () => this.#prepareKey(file) });
    }
    candidates.push(
      { method: "password", label: "password", prepare: async () => this.#preparePassword() },
      {
        method: "keyboard-interactive",
        label: "keyboard-interactive",
        prepare: async () => this.#prepareInteractive(),
      },
    );
    return candidates;
  }

  /** The first thing not yet tried that the server takes now: after a partial success it may take another method. */
  async #choose(): Promise<AnyAuthMethod | undefined> {
    for (;;) {
      const index = this.#untried.findIndex(
        ({ method }) => this.#offerIsStale || this.#offered.includes(method),
      );
      if (index === -1) return undefined;
      const candidate = this.#untried.splice(index, 1)[0]!;
      const method = await candidate.prepare();
      if (method === undefined) continue;
      this.#tried.push(candidate.label);
      this.#offeredKey ||= candidate.method === "publickey";
      this.#offerIsStale = method.type === "agent";
      return method;
    }
  }

  async #prepareAgent(socket: string): Promise<AnyAuthMethod | undefined> {
    const { host } = this.#options;
    const publicKeys = await Promise.all(host.identityFiles.map(publicKeyOf));
    const preferred = publicKeys.filter((key) => key !== undefined);
    try {
      this.#agentKeys = await AgentKeys.load(socket, preferred, host.identitiesOnly);
    } catch (error) {
      this.#skipped.push(`the agent at ${socket} (${(error as Error).message})`);
      return undefined;
    }
    if (this.#agentKeys.count === 0) {
      this.#skipped.push(`the agent at ${socket} (it holds no key to use here)`);
      return undefined;
    }
    return { type: "agent", username: host.user, agent: this.#agentKeys };
  }

  async #prepareKey(file: string): Promise<AnyAuthMethod | undefined> {
    const publicKey = await publicKeyOf(file);
    // The agent's turn has come before: nobody is asked for the passphrase of a key that was refused already.
    if (publicKey !== undefined && this.#agentKeys?.holds(publicKey)) return undefined;
    const key = await this.#unlock(file, await readIdentity(file));
    if (key === undefined || this.#agentKeys?.holds(key.getPublicSSH())) return undefined;
    if (await hasCertificate(file))
      this.note(`${file}-cert.pub (certificates are not supported, and the server may want one)`);
    return { type: "publickey", username: this.#options.host.user, key };
  }

  async #unlock(file: string, identity: Identity): Promise<ParsedKey | undefined> {
    switch (identity.kind) {
      case "missing":
        if (this.#options.host.identitiesChosen) this.#skipped.push(`${file} (there is no such file)`);
        return undefined;
      case "unreadable":
        this.#skipped.push(`${file} (${identity.reason})`);
        return undefined;
      case "public":
        // It names the agent's key of choice; there is nothing to sign with here.
        this.note(`${file} (it is a public key, and no agent holds the private one)`);
        return undefined;
      case "plain":
        return identity.key;
      case "encrypted":
        return await this.#unlockOnce(file, identity.open);
    }
  }

  async #unlockOnce(file: string, open: OpenKey): Promise<ParsedKey | undefined> {
    const { memory, prompter } = this.#options;
    const unlock = async (): Promise<ParsedKey | undefined> =>
      memory.unlockOnce(file, async () => this.#decrypt(file, open));
    try {
      return prompter === undefined ? await unlock() : await this.#waitForPerson(unlock);
    } catch (error) {
      if (error instanceof DialError || !(error instanceof Error)) throw error;
      this.note(`${file} (${error.message})`);
      return undefined;
    }
  }

  async #decrypt(file: string, open: OpenKey): Promise<ParsedKey | undefined> {
    const { host, prompter, upstream } = this.#options;
    if (host.passphrase !== undefined) {
      const passphrase = await this.#secret(host.passphrase, `the passphrase of ${file}`);
      const key = passphrase === undefined ? undefined : await open(passphrase);
      if (key !== undefined) return key;
      if (passphrase !== undefined) this.note(`${file} (the passphrase given does not open it)`);
    }
    if (prompter === undefined) {
      if (host.passphrase === undefined)
        this.note(`${file} (it is encrypted, and there is nobody to ask for its passphrase)`);
      return undefined;
    }
    for (let asked = 0; asked < maxPassphrasePrompts; asked++) {
      const again = asked > 0 && ({ again: true } as const);
      const answer = await this.#ask({ kind: "passphrase", upstream, file, ...again });
      if (answer === undefined) {
        this.note(`${file} (no passphrase was given)`);
        return undefined;
      }
      const key = await open(answer);
      if (key !== undefined) return key;
    }
    this.note(`${file} (a wrong passphrase was given, ${maxPassphrasePrompts} times)`);
    return undefined;
  }

  async #preparePassword(): Promise<AnyAuthMethod | undefined> {
    const { host, upstream, prompter, memory } = this.#options;
    let password = await this.#knownPassword();
    if (password === undefined && prompter !== undefined) {
      const prompt = { kind: "password", upstream, user: host.user, host: host.server.host } as const;
      password = await this.#waitForPerson(() =>
        memory.askOnce(this.#who(), this.#options.signal, (again) =>
          this.#ask({ ...prompt, ...(again && { again }) }),
        ),
      );
      if (password === undefined) this.note("password (none was given)");
    } else if (password === undefined && host.password === undefined) {
      this.note("password (none is configured, and there is nobody to ask)");
    }
    if (password === undefined) return undefined;
    this.#usedPassword = password;
    return { type: "password", username: host.user, password };
  }

  async #prepareInteractive(): Promise<AnyAuthMethod | undefined> {
    const { host, prompter } = this.#options;
    const password = await this.#knownPassword();
    if (password === undefined && prompter === undefined) {
      if (host.password === undefined)
        this.note("keyboard-interactive (no password is configured, and there is nobody to ask)");
      return undefined;
    }
    let automatic = password;
    return {
      type: "keyboard-interactive",
      username: host.user,
      prompt: (...request) => {
        const [title, instructions, , prompts, finish] = request;
        const [first] = prompts;
        if (automatic !== undefined && prompts.length === 1 && first?.echo !== true) {
          finish([automatic]);
          automatic = undefined;
          return;
        }
        const questions = prompts.map(({ prompt, echo }): Prompt => ({
          kind: "keyboard-interactive",
          upstream: this.#options.upstream,
          title,
          instructions,
          prompt,
          echo: echo === true,
        }));
        this.#askAll(questions).then(finish, () => finish([]));
      },
    };
  }

  async #askAll(questions: readonly Prompt[]): Promise<string[]> {
    const answers: string[] = [];
    for (const question of questions) {
      const answer = await this.#ask(question);
      if (answer === undefined) {
        const asked = "prompt" in question ? question.prompt.trim() : question.kind;
        this.#skipped.push(`keyboard-interactive ("${asked}" was not answered)`);
        return [];
      }
      answers.push(answer);
    }
    return answers;
  }

  async #knownPassword(): Promise<string | undefined> {
    const { host, memory } = this.#options;
    return host.password === undefined
      ? memory.password(this.#who())
      : await this.#secret(host.password, "the password");
  }

  /** A secret that can't be read is left out with its reason; another method may do. */
  async #secret(secret: Secret, what: string): Promise<string | undefined> {
    try {
      return await this.#options.readSecret(secret);
    } catch (error) {
      this.note(`${what} (${(error as Error).message})`);
      return undefined;
    }
  }

  async #ask(prompt: Prompt): Promise<string | undefined> {
    const { prompter, signal, memory } = this.#options;
    if (prompter === undefined) return undefined;
    return await this.#waitForPerson(() =>
      memory.inTurn(async () => (signal.aborted ? undefined : await prompter.ask(prompt, signal))),
    );
  }

  /** The handshake's deadline stands still meanwhile, whether the person is asked by us or by another connection. */
  async #waitForPerson<T>(wait: () => Promise<T>): Promise<T> {
    this.#options.onPrompt(true);
    try {
      return await wait();
    } finally {
      this.#options.onPrompt(false);
    }
  }

  #who(): string {
    return `${this.#options.host.user}@${formatEndpoint(this.#options.host.server)}`;
  }
}

/** False tells ssh2 that nothing is left; its types forget that. */
function answer(use: NextAuthHandler, method: AnyAuthMethod | undefined): void {
  (use as (method: AnyAuthMethod | boolean) => void)(method ?? false);
}
