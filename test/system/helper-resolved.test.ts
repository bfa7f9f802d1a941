import assert from "node:assert/strict";
import { closeSync } from "node:fs";
import { after, describe, it } from "node:test";
import { cleanUpAll } from "@sockeye/engine/helper/spawn";
import { startDnsmasqIn } from "../peers/dnsmasq.ts";
import { startHelper } from "../peers/helper-machine.ts";
import { enterNamespace } from "../peers/namespace.ts";
import { Resolved, resolvectlStatus, skipWithoutResolved } from "../peers/resolved.ts";
import { until } from "../peers/tun-client.ts";
import { DEEP_NAME, type Engine, FAR, machineState, program, shell, TunWorld } from "../peers/tun-world.ts";

const skip = skipWithoutResolved();
if (skip !== false) it("systemd-resolved", { skip }, () => {});
else if (await enterNamespace(import.meta.filename)) {
  const world = await TunWorld.make();
  after(() => world[Symbol.asyncDispose]());
  const plain = startDnsmasqIn("far", FAR, ["host-record=plain.example,203.0.113.20"]);
  after(() => plain.kill());
  const resolved = await Resolved.start();
  after(() => resolved.stop());
  shell(`resolvectl dns near0 ${FAR}; resolvectl domain near0 corp.example`);
  // Multicast names are asked for in every network, and tell nothing here.
  for (const link of ["near0", "near1"]) shell(`resolvectl llmnr ${link} no; resolvectl mdns ${link} no`);
  const state = () => machineState() + linksOf(resolvectlStatus());
  const before = state();
  const config = (cidrs: readonly string[] = ["10.77.0.0/16"]) =>
    world.config({
      routes: [
        { match: "*.corp.internal", to: "ssh" },
        { match: "10.77.0.0/16", to: "ssh" },
      ],
      default: cidrs.includes("0.0.0.0/0") ? "ssh" : "direct",
      tun: { dns: "fake-ip", cidrs },
    });

  async function restored(engine?: Engine): Promise<void> {
    if (engine) await until(() => engine.helperPids().length === 0, "the helper ends");
    assert.equal(state(), before);
    assert.equal(await ask("plain.example"), "203.0.113.20\n");
  }

  /** A helper with its device open, and no engine. */
  async function openAlone() {
    const helper = await startHelper();
    const options = { name: "sockeye", mtu: 1500, vnetHeader: true, addresses: ["198.18.0.1/32"] };
    const { descriptor } = await helper.client.open(options);
    let isOpen = true;
    const close = () => {
      if (isOpen) closeSync(descriptor);
      isOpen = false;
    };
    return { helper, close };
  }

  /** Asks as programs do: the stub, which asks whomever it has been told to. */
  async function ask(name: string): Promise<string> {
    return (await program(["dig", "+short", "+time=5", "+tries=2", "@127.0.0.53", name, "A"])).stdout;
  }

  describe("a machine with systemd-resolved", () => {
    it("asks us for the names that routes mention, and its own servers for all others", async () => {
      const engine = await world.engine(config());
      assert.match(engine.output, /"way":"resolved"/);
      const link = linkOf(resolvectlStatus(), "sockeye0");
      assert.match(link, /DNS Servers: 198\.18\.0\.2 fc00::2/);
      assert.match(link, /DNS Domain: .*~corp\.internal/);
      assert.match(link, /Protocols: -DefaultRoute/);
      assert.equal(linkOf(resolvectlStatus(), "near0"), linkOf(before, "near0"));
      assert.match(await ask(DEEP_NAME), /^198\.1[89]\./);
      assert.equal(await ask("plain.example"), "203.0.113.20\n");
      const { stdout, stderr } = await program(["curl", "-sS", "-m", "10", `http://${DEEP_NAME}/`]);
      assert.match(stdout, /hello from far away/, stderr);
      assert.equal(await engine.stop(), 0);
      await restored(engine);
    });

    it("asks us for every name where all of IPv4 is captured, and we ask its servers, not it", async () => {
      const engine = await world.engine(config(["0.0.0.0/0"]));
      const link = linkOf(resolvectlStatus(), "sockeye0");
      assert.match(link, /DNS Domain: ~\./);
      assert.match(link, /Protocols: \+DefaultRoute/);
      assert.match(await ask(DEEP_NAME), /^198\.1[89]\./);
      assert.match(await ask("other.example"), /^198\.1[89]\./);
      // Of one label: it is not ours, and nobody has it. A loop would not answer, or say SERVFAIL.
      const { stdout } = await program(["dig", "+time=8", "+tries=1", "@127.0.0.53", "plain.example", "MX"]);
      assert.match(stdout, /status: NOERROR/);
      assert.equal(await engine.stop(), 0);
      await restored(engine);
    });

    it("has what a reload changes, and keeps it when systemd-resolved is started anew", async () => {
      const engine = await world.engine(config());
      const more = config() as { routes: object[] };
      await engine.reconfigure({
        ...more,
        routes: [...more.routes, { match: "*.other.internal", to: "http" }],
      });
      assert.match(
        linkOf(resolvectlStatus(), "sockeye0"),
        /DNS Domain: .*~corp\.internal .*~other\.internal/s,
      );
      await resolved.restart();
      assert.match(linkOf(resolvectlStatus(), "sockeye0"), /DNS Servers: 198\.18\.0\.2/);
      assert.match(await ask(DEEP_NAME), /^198\.1[89]\./);
      await engine.reconfigure({ ...more, tun: { enabled: true, cidrs: ["10.77.0.0/16"], dns: "off" } });
      assert.doesNotMatch(linkOf(resolvectlStatus(), "sockeye0"), /DNS Servers/);
      assert.equal(await engine.stop(), 0);
      await restored(engine);
    });

    for (const victim of ["engine", "helper's worker", "helper's guardian"] as const) {
      it(`is as it was after a kill -9 of the ${victim}`, async () => {
        const engine = await world.engine(config());
        const [guardian, worker] = engine.helperPids() as [number, number];
        if (victim === "engine") await engine.kill();
        else process.kill(victim === "helper's worker" ? worker : guardian, "SIGKILL");
        // The engine would come back with another helper; here what the helper left is looked at.
        await engine.kill();
        await restored(engine);
      });
    }

    it("is as it was after a cleanup, where nobody was left to undo it and the device lives on", async (t) => {
      const { helper, close } = await openAlone();
      t.after(close);
      assert.equal(await helper.client.dns(["198.18.0.2"], ["corp.internal"]), "resolved");
      const [worker, guardian] = [helper.workerPid(), helper.process.pid!];
      process.kill(guardian, "SIGSTOP");
      process.kill(worker, "SIGKILL");
      process.kill(guardian, "SIGKILL");
      await helper.ended;
      assert.match(linkOf(resolvectlStatus(), "sockeye0"), /DNS Servers: 198\.18\.0\.2/);
      const { undone, problem } = cleanUpAll();
      assert.equal(problem, "");
      assert.ok(undone.includes("the system's name servers"), String(undone));
      assert.doesNotMatch(linkOf(resolvectlStatus(), "sockeye0"), /DNS Servers|corp\.internal/);
      close();
      await until(() => !state().includes("sockeye0"), "the device is gone");
      await restored();
    });

    it("is told of, and left as it was, where systemd-resolved does not answer", async (t) => {
      const { helper, close } = await openAlone();
      t.after(close);
      resolved.pause();
      // While the helper waits for the first of its resolvectl, for 5 seconds, and before it gives up on the last.
      const late = setTimeout(() => resolved.resume(), 6500);
      t.after(() => clearTimeout(late));
      await assert.rejects(helper.client.dns(["198.18.0.2"], []), /resolvectl dns took too long/);
      assert.doesNotMatch(linkOf(resolvectlStatus(), "sockeye0"), /DNS Servers/);
      assert.deepEqual(await helper.client.release(), []);
      helper.client.close();
      await helper.ended;
      close();
      await until(() => !state().includes("sockeye0"), "the device is gone");
      await restored();
    });
  });
}

/** By link; what it counts and caches, and which server it uses now, says nothing of settings. */
function linksOf(status: string): string {
  return status
    .split("\n")
    .filter((line) => !/Current DNS Server|Current Scopes/.test(line))
    .map((line) => line.trim())
    .join("\n");
}

function linkOf(status: string, link: string): string {
  return (
    linksOf(status)
      .split(/\n(?=Link )/)
      .find((part) => part.includes(`(${link})`)) ?? ""
  );
}
