import type { RelayConfig, Secret, UpstreamConfig } from "../config/config.ts";
import { MASK } from "./mask.ts";

/**
 * An upstream that a client has changed and not saved: where it says `•••`, as it was shown, the saved secret stands. Of
 * another type, or with none saved, nothing can be meant, and it stays as it is.
 */
export function withKeptSecrets(unsaved: UpstreamConfig, saved: UpstreamConfig | undefined): UpstreamConfig {
  if (unsaved.type === "ssh") {
    const before = saved?.type === "ssh" ? saved : undefined;
    return {
      ...unsaved,
      ...(unsaved.password && { password: kept(unsaved.password, before?.password) }),
      ...(unsaved.passphrase && { passphrase: kept(unsaved.passphrase, before?.passphrase) }),
    };
  }
  if (!unsaved.auth) return unsaved;
  const before = saved?.type === "ssh" ? undefined : saved?.auth?.password;
  return { ...unsaved, auth: { ...unsaved.auth, password: kept(unsaved.auth.password, before) } };
}

/** The same for a relay and its token. */
export function withKeptToken(unsaved: RelayConfig, saved: RelayConfig | undefined): RelayConfig {
  return unsaved.token === undefined ? unsaved : { ...unsaved, token: kept(unsaved.token, saved?.token) };
}

function kept(given: Secret, saved: Secret | undefined): Secret {
  return "text" in given && given.text === MASK ? (saved ?? given) : given;
}
