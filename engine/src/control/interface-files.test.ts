import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { WebSocket } from "ws";
import { createTestHost } from "../../../test/peers/control-host.ts";
import { interfaceAddress, placeBrowserPage } from "./browser-page.ts";
import { findEngine } from "./client.ts";
import { ControlError } from "./control-error.ts";
import { findEngines } from "./directory.ts";
import { readInterface } from "./interface-files.ts";
import { startControlServer, type ControlServer } from "./server.ts";

const root = mkdtempSync(join(tmpdir(), "sockeye-interface-"));
const directory = join(root, "run");
const built = join(root, "dist");
let server: ControlServer;

before(async () => {
  mkdirSync(join(built, "assets"), { recursive: true });
  writeFileSync(join(root, "secret.txt"), "secret");
  writeFileSync(join(built, "index.html"), "<!doctype html><title>Sockeye</title>");
  writeFileSync(join(built, "assets", "index-B7xkQ2_a.js"), "export {};");
  writeFileSync(join(built, "assets", "plain.css"), "a{}");
  writeFileSync(join(built, "assets", "data.xyz"), "<script>");
  writeFileSync(join(built, ".env"), "secret");
  symlinkSync(join(root, "secret.txt"), join(built, "link.txt"));
  server = await startControlServer(createTestHost(), {
    address: { host: "127.0.0.1", port: 0 },
    version: "1.2.3",
    directory,
    ui: { directory: built },
  });
});

after(async () => {
  await server.close();
  rmSync(root, { recursive: true });
});

/** A request as its bytes, so that nothing tidies the path up first. */
async function ask(path: string, options: { method?: string; headers?: string[] } = {}): Promise<string> {
  const socket = connect(server.address.port, "127.0.0.1");
  const host = `Host: 127.0.0.1:${server.address.port}`;
  const lines = options.headers?.some((line) => line.startsWith("Host:")) === true ? [] : [host];
  socket.write(
    [
      `${options.method ?? "GET"} ${path} HTTP/1.1`,
      ...lines,
      ...(options.headers ?? []),
      "Connection: close",
      "",
      "",
    ].join("\r\n"),
  );
  let answer = "";
  for await (const chunk of socket) answer += String(chunk);
  return answer;
}

test("the page and its files are served with their types and may be kept as long as their names say", async () => {
  const page = await ask("/");
  assert.match(page, /^HTTP\/1\.1 200 /);
  assert.match(page, /\r\nContent-Type: text\/html; charset=utf-8\r\n/);
  assert.match(page, /\r\nCache-Control: no-cache\r\n/);
  assert.match(page, /<title>Sockeye<\/title>$/);
  const script = await ask("/assets/index-B7xkQ2_a.js?x=1");
  assert.match(script, /Content-Type: text\/javascript/);
  assert.match(script, /Cache-Control: public, max-age=31536000, immutable/);
  assert.match(await ask("/assets/plain.css"), /Content-Type: text\/css.*Cache-Control: no-cache/s);
  assert.match(await ask("/assets/data.xyz"), /Content-Type: application\/octet-stream/);
  const head = await ask("/", { method: "HEAD" });
  assert.match(head, /Content-Length: 37\r\n/);
  assert.ok(head.endsWith("\r\n\r\n"));
  const tag = /ETag: (\S+)/.exec(page)![1]!;
  assert.match(await ask("/", { headers: [`If-None-Match: ${tag}`] }), /^HTTP\/1\.1 304 /);
});

test("each answer forbids what no page of ours does", async () => {
  for (const answer of [await ask("/"), await ask("/nothing"), await ask("/", { method: "POST" })]) {
    assert.ok(
      answer.includes(
        "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
          "font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n",
      ),
    );
    assert.match(answer, /X-Content-Type-Options: nosniff\r\n/);
    assert.match(answer, /Referrer-Policy: no-referrer\r\n/);
    assert.match(answer, /Cross-Origin-Opener-Policy: same-origin\r\n/);
  }
});

test("only what the build holds can be asked for, whatever way the path is written", async () => {
  for (const path of [
    "/../secret.txt",
    "/..%2fsecret.txt",
    "/assets/../../secret.txt",
    "/assets/..%2f..%2fsecret.txt",
    "//etc/passwd",
    "/etc/passwd",
    "/link.txt",
    "/.env",
    "/assets",
    "/assets/",
    "/__proto__",
    "/%00",
    "http://evil.example/index.html",
  ]) {
    assert.match(await ask(path), /^HTTP\/1\.1 404 /, path);
  }
  for (const method of ["POST", "PUT", "DELETE", "OPTIONS"]) {
    assert.match(await ask("/", { method }), /^HTTP\/1\.1 405 /, method);
  }
});

test("a name that was made to resolve to this machine gets no page", async () => {
  for (const name of ["evil.example", `evil.example:${server.address.port}`, "localhost:1"]) {
    assert.match(await ask("/", { headers: [`Host: ${name}`] }), /^HTTP\/1\.1 421 /, name);
  }
  assert.match(await ask("/", { headers: [`Host: localhost:${server.address.port}`] }), /^HTTP\/1\.1 200 /);
});

test("pages from here may connect with the token, and no others", async () => {
  const { token } = findEngine({ directory });
  const { port } = server.address;
  const status = (origin: string, offered: string): Promise<number> => {
    const protocols = ["sockeye.v1", `sockeye.token.${offered}`];
    const socket = new WebSocket(server.url, protocols, { headers: { origin } });
    socket.on("error", () => {});
    return new Promise((resolve) => {
      socket.on("unexpected-response", (outgoing, response) => {
        resolve(response.statusCode!);
        outgoing.destroy();
      });
      socket.on("open", () => {
        socket.terminate();
        resolve(101);
      });
    });
  };
  assert.equal(await status(`http://127.0.0.1:${port}`, token), 101);
  assert.equal(await status(`http://localhost:${port}`, token), 101);
  assert.equal(await status(`http://127.0.0.1:${port}`, "A".repeat(43)), 401);
  for (const origin of [
    `https://127.0.0.1:${port}`,
    `http://127.0.0.1:${port + 1}`,
    "null",
    "http://evil.example",
  ]) {
    assert.equal(await status(origin, token), 403, origin);
  }
});

test("the page that opens the interface is its owner's alone, and goes with the engine", async () => {
  const other = await startControlServer(createTestHost(), {
    address: { host: "127.0.0.1", port: 0 },
    version: "1",
    directory,
    name: "other",
    ui: { directory: built },
  });
  const entry = findEngine({ directory, name: "other" });
  assert.equal(interfaceAddress(entry), `${other.ui!}#token=${entry.token}`);
  placeBrowserPage(entry, directory);
  const page = placeBrowserPage(entry, directory);
  if (process.platform !== "win32") assert.equal(statSync(page.path).mode & 0o777, 0o600);
  assert.equal(findEngines(directory).length, 2, "a page is no entry");
  await other.close();
  assert.throws(() => statSync(page.path), /ENOENT/);
});

test("an engine without the interface says so, and a folder that is none is refused before anything listens", async () => {
  const unserved = { token: "x" };
  assert.throws(() => interfaceAddress(unserved), /started without its interface.*sockeye run --ui/);
  mkdirSync(join(root, "empty"));
  for (const [folder, sentence] of [
    [join(root, "absent"), /is not there/],
    [join(root, "empty"), /no index\.html/],
  ] as const) {
    assert.throws(
      () => readInterface(folder),
      (error: unknown) => error instanceof ControlError && sentence.test(error.message),
    );
    const starting = startControlServer(createTestHost(), {
      address: { host: "127.0.0.1", port: 0 },
      version: "1",
      directory,
      name: "none",
      ui: { directory: folder },
    });
    await assert.rejects(starting, sentence);
  }
});

test("a folder that holds more than an interface is refused", () => {
  const large = join(root, "large");
  mkdirSync(join(large, "a", "b", "c", "d", "e", "f", "g", "h", "i", "j"), { recursive: true });
  assert.throws(() => readInterface(large), /more than an interface/);
});
