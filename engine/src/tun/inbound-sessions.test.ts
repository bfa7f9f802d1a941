import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { defaultTun } from "../config/defaults.ts";
import { endangeredSessions } from "./inbound-sessions.ts";

const folder = mkdtempSync(join(tmpdir(), "sockeye-sessions-"));
after(() => rmSync(folder, { recursive: true }));
mkdirSync(join(folder, "proc/net"), { recursive: true });
const HEAD =
  "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode";
// Port 22 listens; 198.51.100.9 and, by a socket of both families, 203.0.113.7 are connected to it, and 127.0.0.1 too. This
// machine has itself connected to port 443 of 203.0.113.8.
const TCP = `${HEAD}
   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1
   1: 020200C0:0016 096433C6:C350 01 00000000:00000000 00:00000000 00000000     0        0 2
   2: 0100007F:0016 0100007F:C351 01 00000000:00000000 00:00000000 00000000     0        0 3
   3: 020200C0:C352 087100CB:01BB 01 00000000:00000000 00:00000000 00000000     0        0 4
`;
const TCP6 = `${HEAD}
   0: 0000000000000000FFFF0000020200C0:0016 0000000000000000FFFF0000077100CB:C353 01 0:0 00:0 0 0 0 5
   1: B80D0120000000000000000002000000:0016 B80D0120070000000000000007000000:C354 01 0:0 00:0 0 0 0 6
   2: garbage
`;
writeFileSync(join(folder, "proc/net/tcp"), TCP);
writeFileSync(join(folder, "proc/net/tcp6"), TCP6);

const tun = { ...defaultTun, cidrs: ["0.0.0.0/0"], block_when_disconnected: true };

function peers(more: Partial<typeof tun>): (string | undefined)[] {
  return endangeredSessions({ ...tun, ...more }, folder).map((one) => /from (\S+) to port 22/.exec(one)?.[1]);
}

test("the kill switch's preflight finds who is connected to this machine from a captured network", () => {
  assert.deepEqual(peers({}), ["198.51.100.9", "203.0.113.7"]);
  assert.deepEqual(peers({ cidrs: ["203.0.113.0/24"] }), ["203.0.113.7"]);
  assert.equal(peers({ cidrs: ["2001:db8::/32"] }).length, 1);
  assert.deepEqual(peers({ exclude: ["198.51.100.0/24"] }), ["203.0.113.7"]);
});

test("without the kill switch such connections are left alone, and nothing is said", () => {
  assert.deepEqual(peers({ block_when_disconnected: false }), []);
});

test("the sentence says what to exclude", () => {
  const [sentence] = endangeredSessions({ ...tun, cidrs: ["198.51.100.0/24"] }, folder);
  assert.match(sentence!, /port 22 of this machine.*add 198\.51\.100\.9\/32 to tun\.exclude$/);
});

test("where the system tells nothing of its sockets, nothing is said", () => {
  assert.deepEqual(endangeredSessions(tun, join(folder, "nothing")), []);
});
