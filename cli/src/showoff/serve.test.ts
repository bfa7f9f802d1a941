import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";

test("an address that is taken is told in a sentence, with status 1", async (t) => {
  const other = createServer();
  other.listen(0, "127.0.0.1");
  await once(other, "listening");
  t.after(() => other.close());
  const address = `127.0.0.1:${(other.address() as AddressInfo).port}`;
  const off = ["data", "public-http", "admin"].map((name) => `--${name}-address=off`);
  const args = ["serve", "--domains=localhost", "--insecure-no-auth", `--control-address=${address}`, ...off];
  const child = spawn(process.execPath, [join(import.meta.dirname, "main.ts"), ...args], {
    env: { PATH: process.env["PATH"] },
    stdio: ["ignore", "ignore", "pipe"],
  });
  const closed = once(child, "close") as Promise<[number | null]>;
  const err = (await child.stderr.toArray()).join("");
  assert.match(err, new RegExp(`^showoff: ${address} is in use by another program$`, "m"));
  assert.deepEqual(await closed.then(([code]) => code), 1);
});
