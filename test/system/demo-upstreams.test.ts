import assert from "node:assert/strict";
import { once } from "node:events";
import { readFile, stat } from "node:fs/promises";
import { describe, it } from "node:test";
import { startDemoUpstreams } from "@sockeye/demo/upstreams";
import { parse } from "yaml";
import { eventually } from "../peers/interface-page.ts";
import { connectThrough } from "./client.ts";
import { type EngineUnderTest, startEngineUnderTest } from "./engine-under-test.ts";

/** What the demo's web server says of the way that a request for `host` took. */
async function visit(sut: EngineUnderTest, host: string): Promise<string> {
  const socket = await connectThrough("socks5", sut.socks5, { host, port: 80 });
  let answer = "";
  socket.setEncoding("utf8").on("data", (text: string) => (answer += text));
  socket.write(`GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
  await once(socket, "end");
  socket.destroy();
  return answer;
}

describe("demo upstreams", () => {
  it("are added to a configuration with their rules first, carry traffic, and are added once", async () => {
    await using sut = await startEngineUnderTest(
      { routes: [{ match: "*", to: "block" }] },
      { demo: startDemoUpstreams },
    );
    const client = await sut.control();
    const names = ["demo-bastion", "demo-socks-proxy", "demo-http-proxy", "demo-bastion-behind-proxy"];
    assert.deepEqual(await client.call("demo.add", {}, { timeoutMs: 20_000 }), { added: names });
    for (const name of names) {
      assert.match(await visit(sut, `${name.slice(5)}.demo`), /^HTTP\/1\.1 200 /, name);
    }
    await assert.rejects(visit(sut, "example.com"));
    const text = await readFile(sut.configFile, "utf8");
    const [file] = /\/\S+-password/.exec(text) ?? [];
    assert.ok(file !== undefined, text);
    assert.equal((await stat(file)).mode & 0o777, 0o600);
    assert.ok(!text.includes((await readFile(file, "utf8")).trim()));

    assert.deepEqual(await client.call("demo.add", {}), { added: [] });
    assert.equal(await readFile(sut.configFile, "utf8"), text);
    await sut.engine.stop({ now: true });
    await assert.rejects(stat(file), { code: "ENOENT" });
  });

  it("of an engine that has ended are told where the new ones are", async () => {
    await using sut = await startEngineUnderTest(
      { upstreams: { "demo-bastion": { address: "127.0.0.1:1", user: "demo" } } },
      { demo: startDemoUpstreams },
    );
    const { added } = await (await sut.control()).call("demo.add", {}, { timeoutMs: 20_000 });
    assert.equal(added.includes("demo-bastion"), false);
    assert.equal(added.length, 3);
    assert.match(await visit(sut, "bastion.demo"), /^HTTP\/1\.1 200 /);
  });

  it("that the file refers to work again after a restart, and what a person changed in them stays", async () => {
    const file = "/tmp/sockeye-demo-gone/socks5-password";
    const auth = { username: "demo", password_file: file };
    const upstreams = {
      "demo-socks-proxy": { type: "socks5", address: "127.0.0.1:1", auth, pool_size: 3 },
      "demo-mine": { type: "socks5", address: "127.0.0.1:2" },
    };
    const routes = [{ match: "*.demo", to: "demo-socks-proxy" }];
    await using sut = await startEngineUnderTest({ upstreams, routes }, { demo: startDemoUpstreams });
    await eventually(
      "they are started again",
      async () => !(await readFile(sut.configFile, "utf8")).includes(file),
    );
    await eventually("they carry traffic", async () => {
      const answer = await visit(sut, "socks-proxy.demo").catch(() => "");
      return answer.startsWith("HTTP/1.1 200 ");
    });
    const now = parse(await readFile(sut.configFile, "utf8")) as { readonly upstreams: typeof upstreams };
    assert.deepEqual(Object.keys(now.upstreams), Object.keys(upstreams));
    assert.equal(now.upstreams["demo-socks-proxy"].pool_size, 3);
    assert.deepEqual(now.upstreams["demo-mine"], upstreams["demo-mine"]);
  });

  it("are not there where the host has none", async () => {
    await using sut = await startEngineUnderTest({});
    const adding = (await sut.control()).call("demo.add", {});
    await assert.rejects(adding, { code: "unavailable", message: "this engine has no demo" });
  });
});
