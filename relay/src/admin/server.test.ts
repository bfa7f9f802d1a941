import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { AdminCredentials } from "./credentials.ts";
import { type AdminOptions, type AdminState, startAdmin } from "./server.ts";

const credentials = new AdminCredentials("admin", "root:correct horse\nmore\n");
const basic = (text: string) => ({ authorization: `Basic ${Buffer.from(text).toString("base64")}` });
const right = basic("root:correct horse");

async function admin(
  t: TestContext,
  changes: Partial<Omit<AdminOptions, "state">> & { state?: Partial<AdminState> } = {},
): Promise<(path: string, headers?: Record<string, string>, method?: string) => Promise<Response>> {
  const state: AdminState = {
    unhealthy: () => [],
    notReady: () => [],
    version: { version: "1.2.3" },
    metrics: async () => ({ contentType: "text/plain; version=0.0.4", text: "up 1\n" }),
    ...changes.state,
  };
  const address = { host: "127.0.0.1", port: 0 };
  const server = await startAdmin({ credentials, profiling: false, ...changes, address, state });
  t.after(() => server.close());
  return (path, headers = {}, method = "GET") =>
    fetch(`http://127.0.0.1:${server.address.port}${path}`, { headers, method });
}

test("health and readiness are everyone's, and say why not", async (t) => {
  const reasons: string[] = [];
  const get = await admin(t, {
    credentials: undefined,
    state: { unhealthy: () => reasons, notReady: () => reasons },
  });
  for (const path of ["/healthz", "/readyz", "/readyz?verbose"]) {
    const response = await get(path);
    assert.deepEqual([response.status, await response.text()], [200, "ok\n"]);
  }
  reasons.push("draining");
  for (const path of ["/healthz", "/readyz"]) {
    const response = await get(path);
    assert.deepEqual([response.status, await response.text()], [503, "draining\n"]);
  }
});

test("all else wants the credentials, whatever Host is asked for, and is refused where the relay has none", async (t) => {
  const pages = new Map([
    ["/", (_request: unknown, response: { end(text: string): void }) => response.end("dashboard")],
  ]);
  const get = await admin(t, { profiling: true, pages });
  const closed = await admin(t, { profiling: true, pages, credentials: undefined });
  const paths = [
    "/",
    "/version",
    "/metrics",
    "/profile/cpu",
    "/profile/heap",
    "/nothing",
    "//healthz",
    "/healthz/",
  ];
  for (const path of paths) {
    const response = await get(path);
    assert.equal(response.status, 401, path);
    assert.match(response.headers.get("www-authenticate") ?? "", /^Basic realm/);
    assert.equal((await closed(path, right)).status, 403, path);
  }
  assert.equal(await (await get("/", right)).text(), "dashboard");
  assert.deepEqual(await (await get("/version", right)).json(), { version: "1.2.3" });
  assert.equal(await (await get("/metrics", right)).text(), "up 1\n");
  assert.equal((await get("/nothing", right)).status, 404);
  assert.equal((await get("/version", right, "POST")).status, 405);
  assert.equal(await (await get("/version", right, "HEAD")).text(), "");
});

test("credentials that are nearly right are wrong, and so many wrong ones a second are enough", async (t) => {
  const get = await admin(t);
  const wrong = [
    "root:correct hors",
    "root:",
    "Root:correct horse",
    "root:correct horse\n",
    "",
    "root:correct horse\nmore",
  ];
  for (const text of wrong) assert.equal((await get("/version", basic(text))).status, 401, text);
  assert.equal((await get("/version", { authorization: "Bearer root" })).status, 401);
  assert.equal((await get("/version", right)).status, 200);
  const statuses: number[] = [];
  for (let i = 0; i < 30; i++) statuses.push((await get("/version", basic("root:guess"))).status);
  assert.ok(statuses.includes(429), statuses.join());
  assert.equal((await get("/healthz")).status, 200);
});

test("a file without a user and a password of some length is refused", () => {
  for (const text of ["", "root", "root:short", ":12345678", "\nroot:12345678"])
    assert.throws(() => new AdminCredentials("admin", text), /the first line of admin is user:password/);
});

test("profiles are there where profiling is on, one at a time, and within a time", async (t) => {
  const off = await admin(t);
  assert.equal((await off("/profile/cpu", right)).status, 404);
  const get = await admin(t, { profiling: true });
  for (const seconds of ["0", "61", "x", "1e1", "-1"])
    assert.equal((await get(`/profile/cpu?seconds=${seconds}`, right)).status, 400, seconds);
  const running = get("/profile/cpu?seconds=1", right);
  const second = await get("/profile/heap?seconds=1", right).then(async (response) => {
    // Whichever came first is taken, and the other is told so.
    return { status: response.status, body: await response.text() };
  });
  const first = await running;
  assert.deepEqual([first.status, second.status].sort(), [200, 409]);
  const cpu = await get("/profile/cpu?seconds=1", right);
  assert.ok("nodes" in ((await cpu.json()) as object));
  const heap = await get("/profile/heap?seconds=1", right);
  assert.ok("head" in ((await heap.json()) as object));
});
