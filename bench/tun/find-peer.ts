import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { findProgram } from "../../test/peers/peer-process.ts";

/** The path of a peer: in the folders of SOCKEYE_BENCH_PEERS, which come first, or on PATH. */
export function findPeer(name: string): string | undefined {
  const folders = (process.env["SOCKEYE_BENCH_PEERS"] ?? "").split(delimiter).filter((one) => one !== "");
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path)) ?? findProgram(name);
}
