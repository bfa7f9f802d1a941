import { matchesAny } from "../names/pattern.ts";
import type { Grant, Purpose, Verdict } from "./authoriser.ts";

export const allowed: Verdict = { allowed: true };

/** The commonest reason of all: nobody said that this is allowed. */
export const noGrant: Verdict = { allowed: false, code: "missing", reason: "nobody has said who this is" };

/** Whether a grant, which still holds, reaches as far as `purpose`. */
export function withinScope({ names, ports }: Pick<Grant, "names" | "ports">, purpose: Purpose): Verdict {
  switch (purpose.kind) {
    case "session":
      return allowed;
    case "http":
      return matchesAny(names, purpose.name) ? allowed : outside(`the name ${purpose.name}`);
    case "tcp": {
      const { port } = purpose;
      return ports.some(({ low, high }) => port >= low && port <= high) ? allowed : outside(`port ${port}`);
    }
  }
}

function outside(what: string): Verdict {
  return { allowed: false, code: "scope", reason: `${what} is not among those granted` };
}

/** The grant's own end, which needs nobody to tell of it. */
export function hasExpired(grant: Pick<Grant, "expiresAt">, now: number): boolean {
  return grant.expiresAt !== undefined && grant.expiresAt <= now;
}

export const expired: Verdict = { allowed: false, code: "expired", reason: "the credential has expired" };
export const revoked: Verdict = {
  allowed: false,
  code: "revoked",
  reason: "the credential has been revoked",
};
