/** The keys of an SSH agent that are worth offering, in the order in which to offer them. */
import ssh2, {
  type IdentityCallback,
  type ParsedKey,
  type SignCallback,
  type SigningRequestOptions,
} from "ssh2";

/** An agent answers at once, or it is stuck; signing has no such limit, for a person may have to touch a token. */
const listTimeoutMs = 5000;

type Agent = ReturnType<typeof ssh2.createAgent>;

export class AgentKeys extends ssh2.BaseAgent<ParsedKey> {
  readonly #agent: Agent;
  readonly #keys: readonly ParsedKey[];

  private constructor(agent: Agent, keys: readonly ParsedKey[]) {
    super();
    this.#agent = agent;
    this.#keys = keys;
  }

  /**
   * @param preferred public keys whose agent keys go first, so that a server's limit on attempts is not used up before.
   * @param only leave out all others (IdentitiesOnly).
   * @throws {Error} when the agent is not there or does not answer.
   */
  static async load(socket: string, preferred: readonly Buffer[], only: boolean): Promise<AgentKeys> {
    const agent = ssh2.createAgent(socket);
    const keys = await list(agent);
    const isPreferred = (key: ParsedKey): boolean =>
      preferred.some((wanted) => wanted.equals(key.getPublicSSH()));
    const first = keys.filter(isPreferred);
    return new AgentKeys(agent, only ? first : [...first, ...keys.filter((key) => !isPreferred(key))]);
  }

  get count(): number {
    return this.#keys.length;
  }

  /** @param publicKey as it goes over the wire. */
  holds(publicKey: Buffer): boolean {
    return this.#keys.some((held) => held.getPublicSSH().equals(publicKey));
  }

  describe(): string {
    return `agent (${this.count} ${this.count === 1 ? "key" : "keys"})`;
  }

  override getIdentities(callback: IdentityCallback<ParsedKey>): void {
    callback(null, [...this.#keys]);
  }

  override sign(
    key: ParsedKey,
    data: Buffer,
    options: SigningRequestOptions | SignCallback,
    callback?: SignCallback,
  ): void {
    if (typeof options === "function") this.#agent.sign(key, data, options);
    else this.#agent.sign(key, data, options, callback);
  }
}

async function list(agent: Agent): Promise<ParsedKey[]> {
  const { promise, resolve, reject } = Promise.withResolvers<ParsedKey[]>();
  const timer = setTimeout(() => reject(new Error("it does not answer")), listTimeoutMs);
  agent.getIdentities((error, keys) => {
    if (error) reject(error);
    else resolve((keys ?? []).map(parsed).filter((key) => key !== undefined));
  });
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
  }
}

/** A kind of key that ssh2 does not know (a security token's, say) is passed over. */
function parsed(key: unknown): ParsedKey | undefined {
  const result: unknown = ssh2.utils.parseKey(key as ParsedKey);
  const first: unknown = Array.isArray(result) ? result[0] : result;
  return first instanceof Error ? undefined : (first as ParsedKey);
}
