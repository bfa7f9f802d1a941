import {
  AuthError,
  type Authoriser,
  type Credential,
  type Grant,
  type Purpose,
  type Verdict,
} from "./authoriser.ts";
import { limitsOf } from "./claims.ts";
import { Listeners } from "./listeners.ts";
import { expired, hasExpired, noGrant, revoked, withinScope } from "./scope.ts";
import { hashSecret, isSecret, parseToken } from "./token.ts";
import { type TokenEntry, parseTokensFile } from "./tokens-file.ts";
import { WatchedFile } from "./watched-file.ts";

/** Somebody's secret is compared also where the id is unknown, so that the time does not tell which ids there are. */
const NOBODYS_HASH = hashSecret("nobody");

/** Tokens of a file, which is read again when it changes: a token that is taken out of it ends at once. */
export class TokenAuthoriser implements Authoriser {
  /** As it stands in `Grant.origin`. */
  static readonly kind = "tokens";
  readonly #file: WatchedFile<ReadonlyMap<string, Known>>;
  readonly #listeners: Listeners;
  readonly #now: () => number;

  /**
   * @param onProblem told of a file that has become wrong; the tokens stay as they were.
   * @throws {Error} when the file can't be read or is wrong.
   */
  static async open(
    path: string,
    onProblem: (sentence: string) => void,
    now: () => number = Date.now,
  ): Promise<TokenAuthoriser> {
    const listeners = new Listeners();
    const file = await WatchedFile.open(path, {
      parse: (text) =>
        new Map(
          parseTokensFile(path, text).map((entry) => [
            entry.id,
            { sha256: entry.sha256, grant: grantOf(entry) },
          ]),
        ),
      onChange: () => listeners.tell(),
      onProblem,
    });
    return new TokenAuthoriser(file, listeners, now);
  }

  private constructor(
    file: WatchedFile<ReadonlyMap<string, Known>>,
    listeners: Listeners,
    now: () => number,
  ) {
    this.#file = file;
    this.#listeners = listeners;
    this.#now = now;
  }

  static reads({ token }: Credential): boolean {
    return token !== undefined && parseToken(token) !== undefined;
  }

  async authenticate(credential: Credential): Promise<Grant> {
    const token = credential.token === undefined ? undefined : parseToken(credential.token);
    if (token === undefined) throw new AuthError("missing", "a token is needed");
    const known = this.#file.value.get(token.id);
    const isRight = isSecret(token.secret, known?.sha256 ?? NOBODYS_HASH);
    if (known === undefined || !isRight) {
      const detail = known === undefined ? "no token has this id" : "its secret is not that of this id";
      throw new AuthError("refused", "the token is not known here", { credential: token.id, detail });
    }
    const { grant } = known;
    if (hasExpired(grant, this.#now()))
      throw new AuthError("expired", "the token has expired", { credential: token.id });
    return grant;
  }

  /** By the file as it is now: a token's scope may have become narrower. */
  authorise(grant: Grant | undefined, purpose: Purpose): Verdict {
    if (grant?.origin.authoriser !== TokenAuthoriser.kind) return noGrant;
    const { reference } = grant.origin;
    const now = this.#file.value.get(reference.slice(0, reference.indexOf(" ")))?.grant;
    if (now?.origin.reference !== reference || now.identity !== grant.identity) return revoked;
    return hasExpired(now, this.#now()) ? expired : withinScope(now, purpose);
  }

  onRevocation(listener: () => void): () => void {
    return this.#listeners.add(listener);
  }

  close(): void {
    this.#file.close();
    this.#listeners.clear();
  }
}

/** A token as the file has it now. */
interface Known {
  readonly sha256: string;
  /** What it grants; made once, for it is asked for with each request. */
  readonly grant: Grant;
}

function grantOf(entry: TokenEntry): Grant {
  const { expires } = entry;
  return {
    identity: `token:${entry.identity}`,
    names: entry.names,
    ports: entry.ports,
    limits: limitsOf(entry),
    ...(expires !== undefined && { expiresAt: Date.parse(expires) }),
    origin: { authoriser: TokenAuthoriser.kind, reference: `${entry.id} ${entry.sha256}` },
  };
}
