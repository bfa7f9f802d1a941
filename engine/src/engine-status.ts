import { CONTRACT_VERSION, type EngineStatus } from "./control/contract.ts";
import { formatEndpoint } from "./endpoint.ts";
import type { Life } from "./life.ts";
import { sshCrypto } from "./upstream/ssh/crypto.ts";

/** How the engine is, for its interfaces. */
export function describeEngine(version: string, life: Life): EngineStatus {
  const { total, failed, up, down } = life.traffic.totals;
  const crypto = sshCrypto();
  return {
    version,
    contract: CONTRACT_VERSION,
    pid: process.pid,
    startedAt: life.startedAt,
    phase: life.phase,
    connection: life.connection.state,
    default: life.config.default,
    tunEnabled: life.config.tun.enabled,
    listeners: listenersOf(life),
    tun: life.tun.state,
    flows: { active: life.traffic.active, total, failed },
    bytes: { up, down },
    rssBytes: process.memoryUsage.rss(),
    logLevel: life.log.level,
    ...(life.source.file !== undefined && { configFile: life.source.file }),
    ...(life.reloader.problems && { configProblems: [...life.reloader.problems] }),
    sshCrypto: crypto.reason === undefined ? crypto.kind : `${crypto.kind}: ${crypto.reason}`,
  };
}

function listenersOf({ listeners, faces }: Life): EngineStatus["listeners"] {
  const forTraffic = [...listeners].map(({ kind, address, pending }) => {
    return { kind, address: formatEndpoint(address), pending };
  });
  if (!faces.address) return forTraffic;
  return [...forTraffic, { kind: "control", address: formatEndpoint(faces.address), pending: 0 }];
}
