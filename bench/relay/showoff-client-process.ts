/**
 * showoff-client-process SETTINGS: the client, as `sockeye share` runs it, with three shares: the origin's HTTP port under a name
 * and as a TCP port, and its echo as a TCP port. Prints a line when all are public.
 */
import "@sockeye/engine/short-lives";
import { readFileSync } from "node:fs";
import type { Endpoint } from "@sockeye/config-kit/endpoint";
import { ShareClient } from "@sockeye/engine/share/client";
import type { ShareSpec } from "@sockeye/engine/share/share";

export interface ClientSettings {
  readonly relay: Endpoint;
  readonly token: string;
  /** PEM file of the authority of the relay's certificate; without it the relay is spoken to in clear. */
  readonly caFile?: string;
  readonly links: number;
  readonly shares: readonly ShareSpec[];
}

const settings = JSON.parse(process.argv[2] ?? "") as ClientSettings;
let published = 0;
const client = new ShareClient({
  relay: settings.relay,
  token: settings.token,
  links: settings.links,
  watch: true,
  ...(settings.caFile !== undefined && {
    tls: { ca: readFileSync(settings.caFile), servername: "localhost" },
  }),
  observer: {
    shared: () => {
      if (++published === settings.shares.length) console.log("shared");
    },
    refused: (code, message) => console.error(`refused: ${code}: ${message}`),
    unshared: (_share, code, message) => console.error(`unshared: ${code}: ${message}`),
  },
});
for (const spec of settings.shares) client.add(spec);
client.start();
