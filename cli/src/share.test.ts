import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { createInterface } from "node:readline";
import { type TestContext, test } from "node:test";

const MAIN = new URL("./main.ts", import.meta.url).pathname;
const SAYS_MS = 20_000;

function share(t: TestContext, ...args: string[]) {
  const env = { PATH: process.env["PATH"] };
  const child = spawn(process.execPath, [MAIN, "share", ...args], {
    env,
    stdio: ["ignore", "ignore", "pipe"],
  });
  t.after(() => child.kill("SIGKILL"));
  return child;
}

/** What it says first, whether it goes on trying or not. */
async function firstLine(t: TestContext, ...args: string[]): Promise<string> {
  const reader = createInterface(share(t, ...args).stderr);
  const [line] = (await once(reader, "line", { signal: AbortSignal.timeout(SAYS_MS) })) as [string];
  return line;
}

/** A web server, which knows neither our protocol nor TLS. @returns its port. */
async function webServer(t: TestContext): Promise<number> {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.end("HTTP/1.1 400 Bad Request\r\n\r\n");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

test("where no relay listens, it says so in words, and never that it waits no time at all", async (t) => {
  const line = await firstLine(t, "3000", "--relay", "127.0.0.1:1");
  assert.equal(line, "sockeye: nothing answers at the relay's address; the next try is in 1 s");
});

test("what answers and is no relay is told from one that is away", async (t) => {
  const relay = `127.0.0.1:${await webServer(t)}`;
  assert.match(
    await firstLine(t, "3000", "--relay", relay),
    /^sockeye: what answers at the relay's address is no relay; the next try/,
  );
});

test("what does not speak TLS is told without OpenSSL's own words, and nothing warns of an address as a name", async (t) => {
  const relay = `127.0.0.1:${await webServer(t)}`;
  assert.match(
    await firstLine(t, "3000", "--relay", relay, "--ca", "/dev/null"),
    /^sockeye: what answers at the relay's address does not speak TLS; the next try/,
  );
});

const wrong: [name: string, args: string[], status: number, sentence: RegExp][] = [
  [
    "a token's file that is not there",
    ["3000", "--token-file", "/nowhere"],
    3,
    /\/nowhere can't be read: it does not exist\n$/,
  ],
  ["a URL", ["http://localhost:3000"], 2, /"http:\/\/localhost:3000" is a URL; write .* 3000 or HOST:PORT/],
];

for (const [name, args, status, sentence] of wrong) {
  test(`refused, in a sentence: ${name}`, async (t) => {
    const child = share(t, ...args, "--relay", "127.0.0.1:1");
    let err = "";
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => (err += chunk));
    const [code] = (await once(child, "close")) as [number | null];
    assert.equal(code, status);
    assert.match(err, sentence);
    assert.match(err, /^sockeye: [^\n]+\n$/);
  });
}
