import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { fileURLToPath } from "node:url";
import { test } from "node:test";
import ssh2 from "ssh2";
import { DialError } from "@sockeye/engine";
import { openDirectTcpip, ReceiveBudget } from "@sockeye/engine/upstream/ssh/channel";
import { preferredAlgorithms, sshCrypto } from "@sockeye/engine/upstream/ssh/crypto";
import { skipWithoutSshd, startSshd, type Sshd } from "../peers/sshd.ts";

const skip = skipWithoutSshd();
const MB = 1024 * 1024;
const budget = new ReceiveBudget(256 * MB);

/** Logs in to a harness sshd, with one cipher or with those we prefer. */
async function login(sshd: Sshd, cipher?: string): Promise<ssh2.Client> {
  const algorithms = preferredAlgorithms();
  const client = new ssh2.Client();
  client.on("error", () => undefined);
  client.connect({
    sock: connect({ port: sshd.port, host: sshd.host, noDelay: true }),
    username: sshd.user,
    privateKey: await readFile(sshd.identityFile),
    algorithms:
      cipher === undefined ? algorithms : { cipher: [cipher as (typeof algorithms.cipher)[number]] },
  });
  await once(client, "ready");
  return client;
}

function open(client: ssh2.Client, port: number): Promise<Duplex> {
  const signal = AbortSignal.timeout(10_000);
  return openDirectTcpip(client, { host: "127.0.0.1", port }, { signal, receiveBudget: budget });
}

async function listen(onConnection: (socket: Socket) => void): Promise<{ server: Server; port: number }> {
  const server = createServer({ allowHalfOpen: true }, onConnection).listen(0, "127.0.0.1");
  await once(server, "listening");
  return { server, port: (server.address() as AddressInfo).port };
}

/** Sends `megabytes` to an echo and compares what comes back. */
async function echo(stream: Duplex, megabytes: number): Promise<void> {
  const block = randomBytes(2 * MB);
  const sent = createHash("sha256");
  const received = createHash("sha256");
  let bytes = 0;
  stream.on("data", (chunk: Buffer) => {
    received.update(chunk);
    bytes += chunk.length;
  });
  const ended = once(stream, "end");
  for (let i = 0; i < megabytes; i++) {
    const chunk = block.subarray(i * 4099, i * 4099 + MB);
    sent.update(chunk);
    if (!stream.write(chunk)) await once(stream, "drain");
  }
  stream.end();
  await ended;
  assert.equal(bytes, megabytes * MB);
  assert.equal(received.digest("hex"), sent.digest("hex"));
}

test(
  "hundreds of megabytes go to OpenSSH's sshd and back unchanged, through several changes of keys",
  { skip },
  async (t) => {
    await using sshd = await startSshd({ config: ["RekeyLimit 12M"] });
    const { server, port } = await listen((socket) => void socket.pipe(socket));
    const client = await login(sshd);
    let handshakes = 0;
    client.on("handshake", () => handshakes++);
    await echo(await open(client, port), sshCrypto().kind === "native" ? 256 : 48);
    t.diagnostic(`${sshCrypto().kind} cryptography, ${handshakes} changes of keys`);
    assert.ok(handshakes >= 4);
    client.end();
    server.close();
  },
);

test("every cipher that we offer carries data both ways", { skip }, async () => {
  await using sshd = await startSshd();
  const { server, port } = await listen((socket) => void socket.pipe(socket));
  for (const cipher of preferredAlgorithms().cipher) {
    const client = await login(sshd, cipher);
    const [first, second] = await Promise.all([open(client, port), open(client, port)]);
    await Promise.all([echo(first, 3), echo(second, 3)]);
    client.end();
  }
  server.close();
});

test("each side may end first, and a target that speaks first is heard", { skip }, async () => {
  await using sshd = await startSshd();
  const { server, port } = await listen((socket) => {
    socket.write("220 ready\r\n");
    socket.once("end", () => socket.end("goodbye"));
    socket.resume();
  });
  const client = await login(sshd);
  const ours = await open(client, port);
  ours.end("request");
  let text = "";
  for await (const chunk of ours) text += String(chunk);
  assert.equal(text, "220 ready\r\ngoodbye");

  let heard = "";
  const first = await listen((socket) => {
    socket.end("all I have");
    socket.on("data", (chunk) => (heard += String(chunk)));
  });
  const theirs = await open(client, first.port);
  for await (const chunk of theirs.iterator({ destroyOnReturn: false }))
    assert.equal(String(chunk), "all I have");
  theirs.end("thanks");
  await once(theirs, "close");
  for (const end = performance.now() + 2000; heard === "" && performance.now() < end;) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assert.equal(heard, "thanks");
  client.end();
  server.close();
  first.server.close();
});

test("a closed port, a name that is none and a forbidden target say which they are", { skip }, async () => {
  await using sshd = await startSshd({ config: ["PermitOpen 127.0.0.1:* nowhere.invalid:*"] });
  const { server, port } = await listen(() => undefined);
  server.close();
  await once(server, "close");
  const client = await login(sshd);
  const code = async (host: string, to: number): Promise<string> => {
    const signal = AbortSignal.timeout(10_000);
    try {
      await openDirectTcpip(client, { host, port: to }, { signal, receiveBudget: budget });
      return "opened";
    } catch (error) {
      return error instanceof DialError ? error.code : String(error);
    }
  };
  assert.equal(await code("127.0.0.1", port), "refused");
  assert.equal(await code("127.0.0.2", port), "forbidden");
  const name = await code("nowhere.invalid", 80);
  assert.ok(name === "dns" || name === "unreachable", name);
  client.end();
});

test(
  "a server that is killed in the middle of a transfer ends the channel with an error",
  { skip },
  async () => {
    await using sshd = await startSshd();
    const { server, port } = await listen((socket) => {
      socket.on("error", () => undefined);
      const more = (): void => {
        while (!socket.destroyed && socket.write(Buffer.alloc(64 * 1024)));
      };
      socket.on("drain", more);
      more();
    });
    const client = await login(sshd);
    const stream = await open(client, port);
    let bytes = 0;
    await new Promise<void>((resolve) => {
      stream.on("data", (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > MB) resolve();
      });
    });
    const closed = new Promise((resolve) => stream.once("close", resolve));
    sshd.killConnections();
    await closed;
    assert.ok(stream.errored instanceof DialError && stream.errored.code === "closed");
    assert.equal(stream.readableEnded, false, "the cut does not pass for an end");
    server.close();
  },
);

if (process.env["SOCKEYE_SSH_CRYPTO"] === undefined) {
  test("without the compiled module the same tests pass", { skip }, async () => {
    const files = [
      import.meta.filename,
      fileURLToPath(import.meta.resolve("../../engine/src/upstream/ssh/channel.test.ts")),
    ];
    const environment = { ...process.env, SOCKEYE_SSH_CRYPTO: "javascript" };
    // Or the child would report to our runner instead of printing.
    delete (environment as NodeJS.ProcessEnv)["NODE_TEST_CONTEXT"];
    const child = spawn(process.execPath, ["--test", ...files], {
      env: environment,
      stdio: ["ignore", "pipe", "inherit"],
    });
    let output = "";
    child.stdout.on("data", (chunk: Buffer) => (output += String(chunk)));
    const [status] = (await once(child, "exit")) as [number | null];
    assert.equal(status, 0, output);
    assert.match(output, /javascript cryptography/);
  });
}
