import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { connect } from "node:net";
import { test } from "node:test";
import { startDante } from "./dante.ts";
import { digestOf, patternChunks, startEcho, startSink, startSource, startUdpEcho } from "./echo.ts";
import { skipWithout, skipWithoutRoot } from "./peer-process.ts";
import { startSquid } from "./squid.ts";
import { startTinyproxy } from "./tinyproxy.ts";

/** What curl gets back from an echo server through a proxy: proof that the peer itself works. */
async function curlAside(args: readonly string[], port: number): Promise<string> {
  const curl = spawn("curl", ["-sSN", "-m", "5", ...args, `telnet://127.0.0.1:${port}`]);
  curl.stdin.end("hello\n");
  let output = "";
  curl.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
    curl.kill("SIGKILL");
  });
  await new Promise((resolve) => curl.once("close", resolve));
  assert.notEqual(output, "", "curl got nothing");
  return output;
}

test(
  "Dante asks for the credentials of its throwaway user and relays",
  {
    skip: skipWithout("danted", "curl") || skipWithoutRoot(),
  },
  async () => {
    await using stack = new AsyncDisposableStack();
    const echo = await startEcho();
    stack.defer(() => echo.stop());
    const dante = await startDante({ auth: "username" });
    stack.defer(() => dante.stop());
    const user = `${dante.username}:${dante.password}`;
    const viaDante = ["--socks5", `${dante.host}:${dante.port}`, "--proxy-user", user];
    assert.equal(await curlAside(viaDante, echo.port), "hello\n");
  },
);

test(
  "squid with TLS and tinyproxy relay with their credentials",
  {
    skip: skipWithout("squid", "tinyproxy", "curl", "openssl"),
  },
  async () => {
    await using stack = new AsyncDisposableStack();
    const echo = await startEcho();
    stack.defer(() => echo.stop());
    const squid = await startSquid({ auth: true, tlsNames: ["localhost"] });
    stack.defer(() => squid.stop());
    const tiny = await startTinyproxy({ username: "u", password: "p" });
    stack.defer(() => tiny.stop());
    const ca = ["--proxy-cacert", squid.caFile!];
    const user = `${squid.username}:${squid.password}`;
    const viaSquid = [...ca, "-p", "-x", `https://localhost:${squid.port}`, "--proxy-user", user];
    assert.equal(await curlAside(viaSquid, echo.port), "hello\n");
    const viaTiny = ["-p", "-x", `http://u:p@127.0.0.1:${tiny.port}`];
    assert.equal(await curlAside(viaTiny, echo.port), "hello\n");
  },
);

test("the sink and the source agree on a checksum, and UDP comes back", async () => {
  await using stack = new AsyncDisposableStack();
  const [sink, source, udp] = await Promise.all([startSink(), startSource(300_001), startUdpEcho()]);
  for (const peer of [sink, source, udp]) stack.defer(() => peer.stop());
  const expected = await digestOf(toAsync(patternChunks(300_001)));
  assert.equal(await digestOf(connect(source.port, source.host)), expected);
  const up = connect({ port: sink.port, host: sink.host, allowHalfOpen: true });
  for (const chunk of patternChunks(300_001)) up.write(chunk);
  up.end();
  let line = "";
  for await (const chunk of up.setEncoding("utf8")) line += String(chunk);
  assert.equal(line, `${expected}\n`);
  const socket = createSocket("udp4");
  stack.defer(() => new Promise<void>((resolve) => socket.close(() => resolve())));
  socket.send("ping", udp.port, udp.host);
  const back = await new Promise<Buffer>((resolve) => socket.once("message", resolve));
  assert.equal(back.toString(), "ping");
});

async function* toAsync(chunks: Iterable<Buffer>): AsyncIterable<Buffer> {
  yield* chunks;
}
