/** What may stand for something else in a path of ssh_config(5). */
import { homedir, hostname, userInfo } from "node:os";

/** What the tokens of a path stand for. */
export interface PathTokens {
  /** `%n`: the host as it was asked for. */
  readonly alias: string;
  /** `%h`: the host itself, after HostName. */
  readonly host: string;
  /** `%p`. */
  readonly port: number;
  /** `%r`; without it, the name of whoever runs us. */
  readonly user?: string | undefined;
  /** `%k`; without it, `%n`. */
  readonly hostKeyAlias?: string | undefined;
}

/** `~`, `${VARIABLE}` and the tokens of ssh_config(5), TOKENS, but for `%C` and `%j`. What is none of them stays as it is. */
export function expandPath(path: string, tokens: PathTokens): string {
  const tilde = path === "~" || path.startsWith("~/") ? homedir() + path.slice(1) : path;
  const variables = tilde.replace(/\$\{(\w+)\}/g, (all, name: string) => process.env[name] ?? all);
  return variables.replace(/%([%dhikLlnpru])/g, (_all, token: string) => valueOf(token, tokens));
}

function valueOf(token: string, { alias, host, port, user, hostKeyAlias }: PathTokens): string {
  switch (token) {
    case "d":
      return homedir();
    case "h":
      return host;
    case "i":
      return String(userInfo().uid);
    case "k":
      return hostKeyAlias ?? alias;
    case "L":
      return hostname().replace(/\..*/, "");
    case "l":
      return hostname();
    case "n":
      return alias;
    case "p":
      return String(port);
    case "r":
      return user ?? userInfo().username;
    case "u":
      return userInfo().username;
    default:
      return "%";
  }
}
