/** Shares as the contract switches them and reads what they keep. */
import type { KeptRequest } from "../share/inspect/kept-request.ts";
import { readConfigText } from "./config-file.ts";
import type { ControlEdit } from "./contract.ts";
import { ControlError } from "./control-error.ts";
import { edited, writeDocument } from "./document.ts";
import type { ControlHost } from "./host.ts";

/**
 * The file keeps it, where there is one that says otherwise.
 * @throws {ControlError} unknown-share, and as writeDocument().
 */
export async function switchShare(
  host: ControlHost,
  share: string,
  on: boolean,
): Promise<Record<string, never>> {
  if (!host.shares.has(share)) throw unknownShare(share);
  if (host.configFile !== undefined && host.config().shares[share]?.enabled !== on) {
    const { text, revision } = await readConfigText(host.configFile);
    const edits: ControlEdit[] = [{ kind: "set-share", name: share, share: { enabled: on } }];
    await writeDocument(host, edited(text, edits), revision);
  }
  host.shares.switch(share, on);
  return {};
}

/** @throws {ControlError} unknown-share, also for a request that is kept no more. */
export function keptRequest(host: ControlHost, share: string, request: number): KeptRequest {
  if (!host.shares.has(share)) throw unknownShare(share);
  const kept = host.shares.get(share)?.ring.get(request);
  if (kept === undefined)
    throw new ControlError("unknown-share", `"${share}" keeps no request ${request} any more`);
  return kept;
}

export function unknownShare(share: string): ControlError {
  return new ControlError("unknown-share", `no share is called "${share}"`);
}
