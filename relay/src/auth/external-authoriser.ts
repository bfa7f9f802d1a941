import { createHash } from "node:crypto";
import { z } from "zod";
import { AnswerCache } from "./answer-cache.ts";
import {
  AuthError,
  type Authoriser,
  type Credential,
  type Grant,
  type Purpose,
  type Verdict,
} from "./authoriser.ts";
import { claims, identityText, limitsOf } from "./claims.ts";
import { expired, hasExpired, noGrant, withinScope } from "./scope.ts";

export interface ExternalOptions {
  readonly url: string;
  /** Sent as a bearer token, so that the authoriser knows who asks. */
  readonly bearer?: string | undefined;
  readonly timeoutMs: number;
  readonly cacheTtlMs: number;
  readonly cacheEntries: number;
}

/** An answer is some hundred bytes. */
const MAX_ANSWER_BYTES = 64 * 1024;
/** Questions under way; beyond, the answer is no, at once, rather than a queue that outlives its askers. */
const MAX_QUESTIONS = 256;
const MAX_TOKEN_CHARACTERS = 8_192;

const authenticated = claims.extend({
  allowed: z.literal(true),
  identity: identityText,
  /** What the authoriser wants to be asked with later. */
  reference: z.string().max(256).optional(),
  /** Seconds. */
  expires_in: z.number().positive().max(1e9).optional(),
});
const refusal = z.object({ allowed: z.literal(false), reason: z.string().max(256).optional() });
const authentication = z.discriminatedUnion("allowed", [authenticated, refusal]);
const authorisation = z.discriminatedUnion("allowed", [z.object({ allowed: z.literal(true) }), refusal]);

/**
 * Somebody else decides: each question is a POST of JSON, `{ type: "authenticate", token, certificate, source }` or
 * `{ type: "authorise", identity, reference, purpose }`, and its answer 200 with `{ allowed, … }`. No answer in time, another
 * status and what can't be read are a no. An answer about a stream holds for a short while.
 */
export class ExternalAuthoriser implements Authoriser {
  /** As it stands in `Grant.origin`. */
  static readonly kind = "external";
  readonly #options: ExternalOptions;
  readonly #cache: AnswerCache<Verdict>;
  readonly #asked = new Map<string, Promise<Verdict>>();
  readonly #closing = new AbortController();
  #questions = 0;

  constructor(options: ExternalOptions) {
    this.#options = options;
    this.#cache = new AnswerCache(options.cacheEntries, options.cacheTtlMs);
  }

  async authenticate({ token, certificate, source }: Credential, signal: AbortSignal): Promise<Grant> {
    if (token === undefined && certificate === undefined) throw new AuthError("missing", "a token is needed");
    if (token !== undefined && token.length > MAX_TOKEN_CHARACTERS)
      throw new AuthError("refused", "the token is too long");
    const question = { type: "authenticate", token, certificate, source };
    const answer = await this.#ask(question, authentication, signal);
    if (!answer.allowed) throw new AuthError("refused", answer.reason ?? "the token is not valid here");
    const { identity, names, ports, expires_in } = answer;
    const digest = createHash("sha256")
      .update(token ?? certificate ?? "")
      .digest("hex");
    return {
      identity: `external:${identity}`,
      names,
      ports,
      limits: limitsOf(answer),
      ...(expires_in !== undefined && { expiresAt: Date.now() + expires_in * 1000 }),
      origin: { authoriser: ExternalAuthoriser.kind, reference: answer.reference ?? digest },
    };
  }

  authorise(grant: Grant | undefined, purpose: Purpose): Verdict | Promise<Verdict> {
    if (grant?.origin.authoriser !== ExternalAuthoriser.kind) return noGrant;
    if (hasExpired(grant, Date.now())) return expired;
    const scope = withinScope(grant, purpose);
    if (!scope.allowed) return scope;
    const key = JSON.stringify([grant.identity, grant.origin.reference, purpose]);
    // One question serves all who ask the same while it is under way.
    return (
      this.#cache.get(key, performance.now()) ?? this.#asked.get(key) ?? this.#askOnce(key, grant, purpose)
    );
  }

  /** Nobody tells us: what is revoked is refused once its answer is old. */
  onRevocation(): () => void {
    return () => {};
  }

  close(): void {
    this.#closing.abort(new AuthError("unavailable", "the relay is closing"));
    this.#cache.clear();
  }

  #askOnce(key: string, grant: Grant, purpose: Purpose): Promise<Verdict> {
    const asked = this.#verdict(key, grant, purpose).finally(() => this.#asked.delete(key));
    this.#asked.set(key, asked);
    return asked;
  }

  async #verdict(key: string, grant: Grant, purpose: Purpose): Promise<Verdict> {
    const identity = grant.identity.slice("external:".length);
    const question = { type: "authorise", identity, reference: grant.origin.reference, purpose };
    let verdict: Verdict;
    try {
      const answer = await this.#ask(question, authorisation, this.#closing.signal);
      verdict = answer.allowed
        ? answer
        : { allowed: false, code: "refused", reason: answer.reason ?? "the authoriser says no" };
    } catch (error) {
      // No is what it means, and it is not remembered: the next one asks anew.
      if (error instanceof AuthError) return { allowed: false, code: error.code, reason: error.message };
      throw error;
    }
    this.#cache.set(key, verdict, performance.now());
    return verdict;
  }

  /** @throws {AuthError} `unavailable`; the signal's reason when it fires. */
  async #ask<T>(question: object, schema: z.ZodType<T>, signal: AbortSignal): Promise<T> {
    if (this.#questions >= MAX_QUESTIONS)
      throw new AuthError("unavailable", "too many questions to the authoriser are under way");
    const deadline = AbortSignal.timeout(this.#options.timeoutMs);
    this.#questions++;
    try {
      const text = await this.#post(question, AbortSignal.any([deadline, signal, this.#closing.signal]));
      return schema.parse(JSON.parse(text));
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (error instanceof AuthError) throw error;
      const why = deadline.aborted ? "gives no answer" : "gives no answer that can be used";
      throw new AuthError("unavailable", `the authoriser ${why}`, { cause: error });
    } finally {
      this.#questions--;
    }
  }

  async #post(question: object, signal: AbortSignal): Promise<string> {
    const { url, bearer } = this.#options;
    const response = await fetch(url, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        accept: "application/json",
        ...(bearer !== undefined && { authorization: `Bearer ${bearer}` }),
      },
      body: JSON.stringify(question),
      // A credential goes to the authoriser that was named and to nobody that it names.
      redirect: "error",
      signal,
    });
    const chunks: Uint8Array[] = [];
    let total = 0;
    const body: AsyncIterable<Uint8Array> | null = response.body;
    for await (const chunk of body ?? []) {
      total += chunk.length;
      if (total > MAX_ANSWER_BYTES)
        throw new RangeError(`the answer has more than ${MAX_ANSWER_BYTES} bytes`);
      chunks.push(chunk);
    }
    if (response.status !== 200) throw new RangeError(`the answer has the status ${response.status}`);
    return Buffer.concat(chunks).toString("utf8");
  }
}
