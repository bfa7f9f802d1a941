import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { request as httpRequest } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { startEngine } from "../../engine/src/engine.ts";
import { createService } from "../../engine/src/control/service.ts";
import type { CallName, CallParams, CallResult, ShareInfo } from "../../engine/src/control/contract.ts";
import { Line } from "../peers/line.ts";
import {
  bodyOf,
  type LocalService,
  startLocalHttp,
  startTestRelay,
  type TestRelay,
  until,
} from "../peers/relay.ts";

interface World extends AsyncDisposable {
  readonly relay: TestRelay;
  readonly local: LocalService;
  readonly configFile: string;
  readonly directory: string;
  /** All that the engine has logged. */
  readonly logged: () => string;
  call<Name extends CallName>(name: Name, params: CallParams<Name>): Promise<CallResult<Name>>;
  share(name: string): Promise<ShareInfo>;
  /** Waits until it is so. */
  when(name: string, is: (share: ShareInfo) => boolean, what: string): Promise<ShareInfo>;
  /** @param relayKeys more of the relay's keys, each with a comma before it. */
  configure(shares: string, relayKeys?: string): Promise<void>;
}

async function world(shares: (port: number, directory: string) => string): Promise<World> {
  const tcp = { host: "127.0.0.1", ports: "1024-65535" };
  const relay = await startTestRelay({ names: { hold: 0 }, tcp });
  const local = await startLocalHttp((request, response) => {
    void bodyOf(request).then((body) => {
      response.setHeader("Set-Cookie", "session=very-secret");
      response.setHeader("X-Authorization-Seen", typeof request.headers.authorization);
      response.end(`${request.method} ${request.url} ${body.length}`);
    });
  });
  const directory = await mkdtemp(join(tmpdir(), "sockeye-shares-"));
  const configFile = join(directory, "config.yaml");
  const relays = (moreKeys = "") =>
    `relays: { home: { address: "127.0.0.1:${relay.control.port}", token: token-ada${moreKeys} } }\n`;
  await writeFile(configFile, relays() + shares(local.port, directory), { mode: 0o600 });
  let log = "";
  const engine = await startEngine({
    configFile,
    version: "0.0.0",
    controlName: `shares-${process.pid}-${Math.random()}`,
    logDestination: { write: (line) => (log += line) },
  });
  const service = createService(engine);
  const self: World = {
    relay,
    local,
    configFile,
    directory,
    logged: () => log,
    call: async (name, params) => (await service.call(name, params)) as never,
    share: async (name) => {
      const { shares: all } = await self.call("shares", {});
      return all.find((share) => share.name === name) ?? assert.fail(`no share ${name}`);
    },
    when: async (name, is, what) => {
      let seen = await self.share(name);
      const deadline = performance.now() + 20_000;
      while (!is(seen)) {
        if (performance.now() > deadline) assert.fail(`not in time: ${what}: ${JSON.stringify(seen)}`);
        await new Promise((resolve) => setTimeout(resolve, 10));
        seen = await self.share(name);
      }
      return seen;
    },
    configure: async (text, relayKeys) => {
      await writeFile(configFile, relays(relayKeys) + text);
      await self.call("reload", {});
    },
    [Symbol.asyncDispose]: async () => {
      await engine.stop({ now: true });
      await relay[Symbol.asyncDispose]();
      await local[Symbol.asyncDispose]();
      await rm(directory, { recursive: true, force: true });
    },
  };
  return self;
}

interface Answer {
  readonly status: number;
  readonly headers: Record<string, string | string[] | undefined>;
  readonly body: string;
}

function ask(
  relay: TestRelay,
  host: string,
  options: { path?: string; method?: string; body?: string; headers?: Record<string, string> } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing = httpRequest(
      {
        host: "127.0.0.1",
        port: relay.http!.port,
        path: options.path ?? "/",
        method: options.method ?? "GET",
        headers: { host: `${host}.localhost`, ...options.headers },
        agent: false,
        timeout: 15_000,
      },
      (response) => {
        void bodyOf(response).then(
          (body) =>
            resolve({ status: response.statusCode!, headers: response.headers, body: body.toString() }),
          reject,
        );
      },
    );
    outgoing.on("error", reject);
    outgoing.end(options.body);
  });
}

const isLive = ({ state }: ShareInfo) => state.state === "live";

test("several shares live in the engine, and follow the configuration without a break for those that stay", async () => {
  await using w = await world(
    (port) => `shares:\n  one: { target: ${port}, name: one }\n  two: { target: ${port}, name: two }\n`,
  );
  const one = await w.when("one", isLive, "one is live");
  await w.when("two", isLive, "two is live");
  assert.match(one.addresses[0]!, /^http:\/\/one\.localhost:/);
  assert.equal((await ask(w.relay, "one")).status, 200);
  const counted = (await w.share("one")).traffic;
  assert.equal(counted.requests, 1);
  await w.configure(
    `shares:\n  one: { target: ${w.local.port}, name: one }\n  three: { target: ${w.local.port}, name: three }\n`,
  );
  await w.when("three", isLive, "three is live");
  assert.equal((await w.share("one")).traffic.requests, 1);
  await until(() => w.relay.counts().clients === 1, "one client for all");
  assert.equal((await ask(w.relay, "three")).status, 200);
  assert.equal((await ask(w.relay, "two")).status, 404);
  const { shares } = await w.call("shares", {});
  assert.deepEqual(
    shares.map(({ name }) => name),
    ["one", "three"],
  );
});

test("stop and start are written to the file, and what was kept stays", async () => {
  await using w = await world((port) => `shares:\n  demo: { target: ${port}, name: demo } # mine\n`);
  await w.when("demo", isLive, "it is live");
  await ask(w.relay, "demo", { path: "/kept" });
  await w.call("share.stop", { share: "demo" });
  const stopped = await w.share("demo");
  assert.equal(stopped.state.state, "stopped");
  assert.equal(stopped.enabled, false);
  const { text, problems } = await w.call("config.read", {});
  assert.deepEqual(problems, []);
  assert.match(text, /enabled: false.*# mine/);
  await until(() => w.relay.counts().clients === 0, "nothing is shared, so nothing is connected");
  assert.equal((await ask(w.relay, "demo")).status, 404);
  await w.call("share.start", { share: "demo" });
  await w.when("demo", isLive, "it is live again");
  const { rows } = await w.call("share.requests", { share: "demo", offset: 0, limit: 10 });
  assert.deepEqual(
    rows.map(({ target }) => target),
    ["/kept"],
  );
});

test("requests are kept with both bodies, credentials masked until asked, and are sent again", async () => {
  await using w = await world((port) => `shares:\n  demo: { target: ${port}, name: demo }\n`);
  await w.when("demo", isLive, "it is live");
  await ask(w.relay, "demo", {
    path: "/orders?x=1",
    method: "POST",
    body: "some text",
    headers: { authorization: "Bearer abc123", cookie: "a=b", "x-plain": "shown" },
  });
  await ask(w.relay, "demo", { method: "PUT", body: "y".repeat(200_000) });
  const { rows, total } = await w.call("share.requests", { share: "demo", offset: 0, limit: 10 });
  assert.equal(total, 2);
  const [large, small] = rows;
  assert.equal(small!.status, 200);
  assert.equal(small!.remote, "127.0.0.1");
  const masked = await w.call("share.request", { share: "demo", request: small!.id });
  assert.doesNotMatch(JSON.stringify(masked), /abc123|a=b|very-secret/);
  const value = (detail: typeof masked, name: string) =>
    detail.request.headers.find((header) => header.name.toLowerCase() === name)?.value;
  assert.equal(value(masked, "authorization"), "•••");
  assert.equal(value(masked, "x-plain"), "shown");
  assert.equal(masked.request.body.text, "some text");
  assert.equal(masked.response?.body.text, "POST /orders?x=1 9");
  const shown = await w.call("share.request", { share: "demo", request: small!.id, reveal: true });
  assert.equal(value(shown, "authorization"), "Bearer abc123");
  assert.ok(JSON.stringify(shown.response?.headers).includes("very-secret"));
  const { request } = await w.call("share.replay", { share: "demo", request: small!.id });
  const isDone = async () => (await w.call("share.request", { share: "demo", request })).state !== "open";
  while (!(await isDone())) await new Promise((resolve) => setTimeout(resolve, 5));
  const again = await w.call("share.request", { share: "demo", request });
  assert.equal(again.replayOf, small!.id);
  assert.equal(again.response?.body.text, "POST /orders?x=1 9");
  await assert.rejects(w.call("share.replay", { share: "demo", request: large!.id }), {
    code: "unavailable",
    message: /its body has 200000 bytes/,
  });
  const found = await w.call("share.requests", { share: "demo", offset: 0, limit: 10, text: "put" });
  assert.equal(found.total, 1);
  await w.call("share.clear", { share: "demo" });
  assert.equal((await w.call("share.requests", { share: "demo", offset: 0, limit: 10 })).total, 0);
  await assert.rejects(w.call("share.request", { share: "demo", request }), { code: "unknown-share" });
  await assert.rejects(w.call("share.stop", { share: "other" }), { code: "unknown-share" });
});

test("with one_connection_per_tunnel each request has a connection of its own, from when the file says so", async () => {
  await using w = await world((port) => `shares:\n  demo: { target: ${port}, name: demo }\n`);
  await using line = await Line.to(w.relay.data!.port);
  Object.defineProperty(w.relay.data!, "port", { value: line.address.control.port });
  await w.when("demo", isLive, "it is live");
  assert.equal((await ask(w.relay, "demo")).status, 200);
  assert.equal(line.most, 0);
  await w.configure(
    `shares:\n  demo: { target: ${w.local.port}, name: demo }\n`,
    ", one_connection_per_tunnel: true",
  );
  await w.when("demo", isLive, "it is live again");
  assert.equal((await ask(w.relay, "demo")).status, 200);
  assert.equal(line.most, 1);
});

test("the relay asks for the password and lets nobody else through, and the local service never sees it", async () => {
  await using w = await world(
    (port) =>
      `shares:\n  demo: { target: ${port}, name: demo, basic_auth: { username: team, password: open sesame } }\n`,
  );
  const { guard } = await w.when("demo", isLive, "it is live");
  assert.equal(guard.basicAuth, true);
  const basic = (text: string) => ({ authorization: `Basic ${Buffer.from(text).toString("base64")}` });
  const without = await ask(w.relay, "demo");
  assert.equal(without.status, 401);
  assert.match(String(without.headers["www-authenticate"]), /^Basic realm=/);
  assert.equal((await ask(w.relay, "demo", { headers: basic("team:wrong") })).status, 401);
  assert.equal((await ask(w.relay, "demo", { headers: { authorization: "Bearer x" } })).status, 401);
  assert.equal((await w.share("demo")).traffic.connections, 0);
  const right = await ask(w.relay, "demo", { headers: basic("team:open sesame") });
  assert.equal(right.status, 200);
  assert.equal(right.headers["x-authorization-seen"], "undefined");
});

test("neither the token nor the password is in the log or in a report, also where the relay says the token back", async () => {
  await using w = await world(
    (port) =>
      `log: { level: trace }\n` +
      `shares:\n  demo: { target: ${port}, name: demo, basic_auth: { username: team, password: open sesame } }\n`,
  );
  await w.when("demo", isLive, "it is live");
  const authorization = `Basic ${Buffer.from("team:open sesame").toString("base64")}`;
  assert.equal((await ask(w.relay, "demo", { headers: { authorization } })).status, 200);
  w.relay.authoriser.authorise = () => ({ allowed: false, code: "revoked", reason: "token-ada is over" });
  w.relay.authoriser.revoke("ada");
  await until(() => w.logged().includes("is over"), "the relay's reason is logged");
  const { state } = await w.share("demo");
  const report = await w.call("report", {});
  for (const text of [w.logged(), JSON.stringify(report), JSON.stringify(state)])
    assert.doesNotMatch(text, /token-ada|open sesame|dGVhbTpvcGVuIHNlc2FtZQ/);
});

test("from a network that is not allowed nobody gets through, by HTTP and by TCP", async () => {
  const free = await startLocalHttp(() => {});
  await free.stop();
  await using w = await world(
    (port) =>
      `shares:\n  out: { target: ${port}, name: out, allow: [192.0.2.0/24] }\n` +
      `  in: { target: ${port}, name: in, allow: [192.0.2.0/24, 127.0.0.0/8] }\n` +
      `  raw: { kind: tcp, target: ${port}, port: ${free.port}, allow: ["2001:db8::/32"] }\n`,
  );
  for (const name of ["out", "in", "raw"]) await w.when(name, isLive, `${name} is live`);
  const out = await ask(w.relay, "out", { headers: { accept: "text/html" } });
  assert.equal(out.status, 403);
  assert.match(out.body, /not for your address/);
  assert.equal((await ask(w.relay, "in")).status, 200);
  await assert.rejects(fetch(`http://127.0.0.1:${free.port}/`));
  assert.equal((await w.share("raw")).traffic.connections, 0);
});

test("an offline page of one's own is shown while the service is down or the client away, and can run nothing", async () => {
  await using w = await world(
    (port, directory) =>
      `shares:\n  demo: { target: ${port}, name: demo, offline_page: ${join(directory, "away.html")} }\n`,
  );
  // The page is not there yet: the share says so, and is asked for again by hand.
  const missing = await w.when("demo", ({ state }) => state.state === "refused", "it misses its page");
  assert.match(missing.state.state === "refused" ? missing.state.reason : "", /offline page .*can't be read/);
  await writeFile(join(w.directory, "away.html"), "<h1>Back at nine</h1><script>alert(1)</script>");
  await w.call("share.start", { share: "demo" });
  await w.when("demo", isLive, "it is live");
  assert.equal((await ask(w.relay, "demo")).status, 200);
  await w.local.stop();
  const accept = { headers: { accept: "text/html" } };
  const down = await ask(w.relay, "demo", accept);
  assert.equal(down.status, 503);
  assert.match(down.body, /Back at nine/);
  assert.match(String(down.headers["content-security-policy"]), /^sandbox; default-src 'none'/);
  const seen = await w.when("demo", ({ state }) => state.state === "target-down", "its service is down");
  assert.match(seen.local.state === "down" ? seen.local.error : "", /refused/);
  // Anybody else but a browser gets no page.
  assert.match((await ask(w.relay, "demo")).body, /"status":503/);
});

test("a relay that goes is come back to, and says meanwhile why", async () => {
  await using w = await world((port) => `shares:\n  demo: { target: ${port}, name: demo }\n`);
  await w.when("demo", isLive, "it is live");
  const { port } = w.relay.control;
  await w.relay.stop(0);
  const lost = await w.when("demo", ({ state }) => state.state === "reconnecting", "it reconnects");
  assert.ok(lost.state.state === "reconnecting" && lost.state.retryAt > Date.now() - 5000);
  assert.deepEqual(lost.addresses, []);
  const back = await startTestRelay({ control: { address: `127.0.0.1:${port}` } });
  try {
    await w.when("demo", isLive, "it is live again");
    back.authoriser.revoke("ada");
    const refused = await w.when("demo", ({ state }) => state.state === "refused", "it is refused");
    assert.ok(refused.state.state === "refused" && /revoked|not accepted/.test(refused.state.reason));
  } finally {
    await back[Symbol.asyncDispose]();
  }
});

test("the command line asks the relay for the same, and prints what passes without credentials", async () => {
  await using relay = await startTestRelay({ names: { hold: 0 } });
  await using local = await startLocalHttp((_request, response) => response.end("the answer"));
  const directory = await mkdtemp(join(tmpdir(), "sockeye-share-"));
  const file = async (name: string, text: string) => {
    const path = join(directory, name);
    await writeFile(path, text, { mode: 0o600 });
    return path;
  };
  const flags = ["--token-file", await file("token", "token-ada\n"), "--allow", "127.0.0.0/8", "--inspect"];
  flags.push("--basic-auth-file", await file("auth", "team:open:sesame\n"));
  flags.push("--offline-page", await file("away.html", "<p>Back soon</p>"));
  const relayAddress = `127.0.0.1:${relay.control.port}`;
  const main = new URL("../../cli/src/main.ts", import.meta.url).pathname;
  const args = [main, "share", String(local.port), "--name", "cli", "--relay", relayAddress, ...flags];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
  let told = "";
  for (const output of [child.stdout, child.stderr])
    output.setEncoding("utf8").on("data", (text: string) => (told += text));
  try {
    await until(() => told.includes("http://cli.localhost"), "it is shared");
    assert.equal((await ask(relay, "cli")).status, 401);
    const authorization = `Basic ${Buffer.from("team:open:sesame").toString("base64")}`;
    const cookie = "secret-cookie=1";
    const right = await ask(relay, "cli", { path: "/seen", headers: { authorization, cookie } });
    assert.equal(right.body, "the answer");
    await until(() => told.includes("< the answer"), "the answer is printed");
    assert.match(told, /> GET \/seen\n/);
    assert.match(told, /> cookie: •••/);
    assert.doesNotMatch(told, /secret-cookie/);
    await local.stop();
    const headers = { authorization, accept: "text/html" };
    assert.match((await ask(relay, "cli", { headers })).body, /Back soon/);
  } finally {
    child.kill("SIGTERM");
    await once(child, "exit");
    await rm(directory, { recursive: true, force: true });
  }
});

test("a configuration with faults in its shares is told all of them", async () => {
  await using w = await world(() => "");
  const text =
    "relays:\n  a: { address: x:1, tls_cert_file: c.pem }\n  b: { address: y, tls: false, tls_ca_file: z }\n" +
    "shares:\n  one: { target: 3000 }\n  two: { target: http://localhost:1, relay: c, name: No_Name }\n" +
    "  three: { kind: tcp, target: 5432, relay: a, name: x, basic_auth: { username: u } }\n" +
    "  four: { target: 1, relay: a, port: 3, allow: [10.0.0.0/99] }\n";
  const { problems } = await w.call("config.validate", { text });
  const told = problems.map(({ path, message }) => `${path}: ${message}`).join("\n");
  for (const expected of [
    /relays\.a\.tls_cert_file: tls_cert_file needs tls_key_file/,
    /relays\.b\.tls_ca_file: tls_ca_file is of no use with tls: false/,
    /shares\.one: there are several relays/,
    /shares\.two\.target: a target is host:port, without a scheme/,
    /shares\.two\.relay: relay names c, which is not among the relays/,
    /shares\.two\.name: name must be a name of letters/,
    /shares\.three\.name: name belongs to shares of kind http/,
    /shares\.three\.basic_auth: basic_auth has no password/,
    /shares\.four\.port: port belongs to shares of kind tcp/,
    /shares\.four\.allow: allow holds "10\.0\.0\.0\/99", which is not a network/,
  ])
    assert.match(told, expected);
});
