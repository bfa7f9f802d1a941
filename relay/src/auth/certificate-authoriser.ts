import { isName } from "../names/label.ts";
import {
  AuthError,
  type Authoriser,
  type Credential,
  type Grant,
  type PortRange,
  type Purpose,
  type Verdict,
} from "./authoriser.ts";
import { noGrant, withinScope } from "./scope.ts";

const PLACEHOLDER = "{identity}";

/**
 * Clients that show a certificate and no token. The listener has verified it by then, and who is in it is who it is. In
 * patterns `{identity}` stands for that name; where the name is no label, such a pattern gives nothing: `*` is a name as well.
 */
export class CertificateAuthoriser implements Authoriser {
  /** As it stands in `Grant.origin`. */
  static readonly kind = "certificate";
  readonly #names: readonly string[];
  readonly #ports: readonly PortRange[];

  constructor(names: readonly string[], ports: readonly PortRange[]) {
    this.#names = names;
    this.#ports = ports;
  }

  static reads({ token, certificate }: Credential): boolean {
    return token === undefined && certificate !== undefined;
  }

  async authenticate({ certificate }: Credential): Promise<Grant> {
    if (certificate === undefined || certificate === "")
      throw new AuthError("missing", "a certificate that names a client is needed");
    const label = certificate.toLowerCase();
    const names = this.#names
      .filter((pattern) => !pattern.includes(PLACEHOLDER) || isName(label))
      .map((pattern) => pattern.replaceAll(PLACEHOLDER, label));
    return {
      identity: `certificate:${certificate}`,
      names,
      ports: this.#ports,
      limits: {},
      origin: { authoriser: CertificateAuthoriser.kind, reference: certificate },
    };
  }

  authorise(grant: Grant | undefined, purpose: Purpose): Verdict {
    return grant?.origin.authoriser === CertificateAuthoriser.kind ? withinScope(grant, purpose) : noGrant;
  }

  onRevocation(): () => void {
    return () => {};
  }

  close(): void {}
}
