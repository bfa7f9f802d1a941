import {
  AuthError,
  type Authoriser,
  type Credential,
  type Grant,
  type Purpose,
  type Verdict,
} from "./authoriser.ts";
import { noGrant } from "./scope.ts";

/** One of several ways to authenticate. */
export interface Way {
  /** As it stands in `Grant.origin`. */
  readonly name: string;
  readonly authoriser: Authoriser;
  /** True for a credential of this kind, right or wrong. */
  readonly reads: (credential: Credential) => boolean;
}

/** Several ways: the first that reads a credential decides about it, and no other is asked when it says no. */
export class CombinedAuthoriser implements Authoriser {
  readonly #ways: readonly Way[];

  constructor(ways: readonly Way[]) {
    this.#ways = ways;
  }

  async authenticate(credential: Credential, signal: AbortSignal): Promise<Grant> {
    const way = this.#ways.find(({ reads }) => reads(credential));
    if (way !== undefined) return way.authoriser.authenticate(credential, signal);
    const shown = credential.token ?? credential.certificate;
    throw shown === undefined
      ? new AuthError("missing", "a credential is needed, such as a token")
      : new AuthError("refused", "the credential is of no kind that is accepted here");
  }

  authorise(grant: Grant | undefined, purpose: Purpose): Verdict | Promise<Verdict> {
    const way = this.#ways.find(({ name }) => name === grant?.origin.authoriser);
    return way === undefined ? noGrant : way.authoriser.authorise(grant, purpose);
  }

  onRevocation(listener: () => void): () => void {
    const stops = this.#ways.map(({ authoriser }) => authoriser.onRevocation(listener));
    return () => {
      for (const stop of stops) stop();
    };
  }

  close(): void {
    for (const { authoriser } of this.#ways) authoriser.close();
  }
}
