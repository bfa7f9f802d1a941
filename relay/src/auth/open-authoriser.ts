import { createHash } from "node:crypto";
import type { Authoriser, Credential, Grant, Purpose, Verdict } from "./authoriser.ts";
import { noGrant, withinScope } from "./scope.ts";

const NAME = "open";

/**
 * For `--insecure-no-auth`: everybody may do everything that the relay offers. Who it is goes by what it shows, if it shows
 * anything, else by its address, so that names go back to those who had them.
 */
export class OpenAuthoriser implements Authoriser {
  async authenticate({ token, certificate, source }: Credential): Promise<Grant> {
    const shown = token ?? certificate;
    const who = shown === undefined ? source : createHash("sha256").update(shown).digest("hex").slice(0, 16);
    return {
      identity: `open:${who}`,
      names: ["*"],
      ports: [{ low: 1, high: 65_535 }],
      limits: {},
      origin: { authoriser: NAME, reference: who },
    };
  }

  authorise(grant: Grant | undefined, purpose: Purpose): Verdict {
    return grant?.origin.authoriser === NAME ? withinScope(grant, purpose) : noGrant;
  }

  onRevocation(): () => void {
    return () => {};
  }

  close(): void {}
}
