import { readConfigText } from "@sockeye/config-kit/read-text";
import type { RelayConfig } from "../config/schema.ts";
import type { Authoriser } from "./authoriser.ts";
import { CertificateAuthoriser } from "./certificate-authoriser.ts";
import { CombinedAuthoriser, type Way } from "./combined-authoriser.ts";
import { ExternalAuthoriser } from "./external-authoriser.ts";
import { JwtAuthoriser } from "./jwt-authoriser.ts";
import { OpenAuthoriser } from "./open-authoriser.ts";
import { TokenAuthoriser } from "./token-authoriser.ts";

/**
 * The authoriser that the configuration asks for.
 * @param onProblem told of files that become wrong while the relay runs; what they said stays in force.
 * @throws {Error} when a file can't be read or is wrong, or when there would be no authentication and nobody said so.
 */
export async function createAuthoriser(
  config: Pick<RelayConfig, "auth" | "insecure_no_auth">,
  onProblem: (sentence: string) => void,
): Promise<Authoriser> {
  if (config.insecure_no_auth) return new OpenAuthoriser();
  const ways: Way[] = [];
  try {
    for await (const way of waysOf(config.auth, onProblem)) ways.push(way);
  } catch (error) {
    for (const { authoriser } of ways) authoriser.close();
    throw error;
  }
  if (ways.length === 0) throw new Error("there is no authentication; say insecure_no_auth if that is meant");
  return new CombinedAuthoriser(ways);
}

async function* waysOf(
  auth: RelayConfig["auth"],
  onProblem: (sentence: string) => void,
): AsyncGenerator<Way> {
  const { tokens_file, jwt, external, certificate_names, certificate_ports } = auth;
  if (tokens_file !== undefined) {
    const authoriser = await TokenAuthoriser.open(tokens_file, onProblem);
    yield {
      name: TokenAuthoriser.kind,
      authoriser,
      reads: (credential) => TokenAuthoriser.reads(credential),
    };
  }
  if (jwt.secret_file !== undefined) {
    const { secret_file: secretFile, issuer, audience } = jwt;
    const authoriser = await JwtAuthoriser.open({ secretFile, issuer, audience }, onProblem);
    yield { name: JwtAuthoriser.kind, authoriser, reads: (credential) => JwtAuthoriser.reads(credential) };
  }
  if (certificate_names.length > 0 || certificate_ports.length > 0) {
    const authoriser = new CertificateAuthoriser(certificate_names, certificate_ports);
    yield {
      name: CertificateAuthoriser.kind,
      authoriser,
      reads: (credential) => CertificateAuthoriser.reads(credential),
    };
  }
  if (external.url !== undefined) {
    const authoriser = new ExternalAuthoriser({
      url: external.url,
      bearer: external.token_file === undefined ? undefined : await firstLine(external.token_file),
      timeoutMs: external.timeout * 1000,
      cacheTtlMs: external.cache_ttl * 1000,
      cacheEntries: external.cache_entries,
    });
    yield { name: ExternalAuthoriser.kind, authoriser, reads: () => true };
  }
}

async function firstLine(file: string): Promise<string> {
  const [line = ""] = (await readConfigText(file)).split(/\r?\n/, 1);
  if (line === "") throw new Error(`the first line of ${file} is empty`);
  return line;
}
