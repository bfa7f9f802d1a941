import type { Client } from "ssh2";
import { handlersOf } from "./internals.ts";

/** SSH_OPEN_ADMINISTRATIVELY_PROHIBITED (RFC 4254 §5.1). */
const PROHIBITED = 1;

/**
 * Has a client refuse whatever its server asks of it by itself: channels (we forward no port, no agent, no X11) and global requests
 * (RFC 4254 §4 and §5.1). ssh2 would answer most of it alike, but of some it keeps something for good: a channel number for each stream to a path
 * called `constructor`, which it takes for one that was asked for, and each offer of host keys, whose proof it waits for.
 */
export function refuseRequests(client: Client): void {
  const handlers = handlersOf(client);
  handlers.CHANNEL_OPEN = (protocol, { sender }) => protocol.channelOpenFail(sender, PROHIBITED, "");
  handlers.GLOBAL_REQUEST = (protocol, _name, wantReply) => {
    if (wantReply) protocol.requestFailure();
  };
}
