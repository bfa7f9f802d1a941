import type { HelperStatus } from "../control/contract.ts";
import { HelperError } from "./client.ts";

export interface HelperQuestion<Client extends { readonly build: string }> {
  /** A HelperSource, of whose sessions the version is looked at. */
  readonly source: { session(): Promise<Client>; done(client: Client): void };
  /** The version that this engine wants. */
  readonly expected: string;
  /** TUN mode is on, so that the helper serves this engine and nobody else can ask. */
  readonly inUse: boolean;
  readonly platform: NodeJS.Platform;
}

/** Whether TUN mode can have a helper, in a sentence. Asks for a session and gives it back; changes nothing. */
export async function describeHelper<Client extends { readonly build: string }>({
  source,
  expected,
  inUse,
  platform,
}: HelperQuestion<Client>): Promise<HelperStatus> {
  if (platform !== "linux" && platform !== "darwin" && platform !== "win32") {
    return { state: "unsupported", expected, message: `TUN mode is not written for ${platform}` };
  }
  if (inUse) {
    return { state: "running", expected, message: "the privileged helper serves this engine" };
  }
  try {
    const client = await source.session();
    const version = client.build;
    source.done(client);
    if (version === expected) {
      return { state: "running", version, expected, message: "the privileged helper is ready" };
    }
    const message = `the privileged helper is version ${version}, and this is Sockeye ${expected}: install the helper anew`;
    return { state: "foreign", version, expected, message };
  } catch (error) {
    if (!(error instanceof HelperError)) throw error;
    return { state: stateOf(error), expected, message: error.message };
  }
}

function stateOf({ code }: HelperError): HelperStatus["state"] {
  switch (code) {
    case "missing":
    case "closed":
      return "absent";
    case "unsupported":
      return "unsupported";
    case "busy":
      return "busy";
    // It is there, and has not let us in.
    case "forbidden":
    case "state":
    case "system":
      return "running";
    // It speaks otherwise, or does not answer as ours would.
    case "version":
    case "malformed":
    case "timeout":
      return "foreign";
  }
}
