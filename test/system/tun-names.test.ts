import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { after, test } from "node:test";
import { startDnsmasqIn } from "../peers/dnsmasq.ts";
import { enterNamespace } from "../peers/namespace.ts";
import { skipWithout } from "../peers/peer-process.ts";
import { connectFailure, until } from "../peers/tun-client.ts";
import {
  DEEP_NAME,
  FAR,
  machineState,
  program,
  RESOLV_CONF,
  TARGETS,
  TunWorld,
  UPSTREAM,
} from "../peers/tun-world.ts";

if (await enterNamespace(import.meta.filename)) {
  const before = await TunWorld.make().then((world) => ({ world, state: machineState() }));
  const { world, state } = before;
  after(() => world[Symbol.asyncDispose]());
  const engine = await world.engine(
    world.everyWay({
      routes: [{ match: "*.corp.internal", to: "ssh" }],
      tun: { dns: "fake-ip" },
    }),
  );
  // A name server that this machine reaches without us, and one that only the far side reaches.
  const nameServers = [
    startDnsmasqIn("far", FAR, ["host-record=plain.example,203.0.113.20"]),
    startDnsmasqIn("deep", TARGETS.ssh[0], [
      "host-record=deep.example,10.77.1.7",
      "txt-record=long.example," + "a".repeat(200),
    ]),
    startDnsmasqIn("deep", TARGETS.http[0], ["host-record=deep.example,10.77.3.7"]),
    startDnsmasqIn("deep", TARGETS.socks5[0], ["host-record=deep.example,10.77.2.7"]),
  ];
  after(() => nameServers.forEach((server) => server.kill()));

  const skip = skipWithout("curl", "dig");

  test(
    "a name that only the far end knows is opened by curl, through the upstream of its route",
    { skip },
    async () => {
      const { stdout, stderr } = await program(["curl", "-sS", "-m", "10", `http://${DEEP_NAME}/`]);
      assert.match(stdout, /hello from far away/, stderr);
      assert.match(engine.output, new RegExp(`"upstream":"ssh","target":"${DEEP_NAME}:80"`));
      const tls = await program([
        "curl",
        "-sS",
        "-m",
        "10",
        "--cacert",
        world.caFile,
        `https://${DEEP_NAME}/`,
      ]);
      assert.match(tls.stdout, /hello from far away/, tls.stderr);
    },
  );

  test(
    "a name that no route mentions is asked of the name servers that the system had",
    { skip },
    async () => {
      const { stdout, stderr } = await program(["curl", "-sS", "-m", "10", "http://plain.example/"]);
      assert.match(stdout, /hello from far away/, stderr);
    },
  );

  test("such a name has addresses of the fake networks, of both families", { skip }, async () => {
    const answer = async (type: string) =>
      (await program(["dig", "+short", "+time=3", DEEP_NAME, type])).stdout.trim();
    assert.match(await answer("A"), /^198\.1[89]\./);
    assert.match(await answer("AAAA"), /^fc00:/);
  });

  test("a name that the far end does not know either ends in an error, quickly", { skip }, async () => {
    const { code, ms } = await connectFailure("missing.corp.internal", 80);
    assert.match(code, /EHOSTUNREACH|ECONNREFUSED/);
    assert.ok(ms < 5000, `${ms} ms`);
  });

  test(
    "with hijack, questions to a captured server are answered through its upstream, and nothing of the system changes",
    { skip },
    async () => {
      await engine.reconfigure(world.config(world.everyWay({ tun: { dns: "hijack" } })));
      assert.equal(readFileSync("/etc/resolv.conf", "utf8"), RESOLV_CONF);
      for (const [server] of [TARGETS.ssh, TARGETS.http, TARGETS.socks5]) {
        for (const how of ["+notcp", "+tcp"]) {
          const { stdout } = await program([
            "dig",
            "+short",
            how,
            "+time=5",
            "+tries=1",
            "deep.example",
            `@${server}`,
          ]);
          assert.equal(stdout.trim(), server);
        }
      }
    },
  );

  test(
    "with dns off, DNS is traffic like any other: over UDP by SOCKS5, and over TCP to upstreams without UDP",
    { skip },
    async () => {
      await engine.reconfigure(world.config(world.everyWay({ tun: { dns: "off" } })));
      for (const [server] of [TARGETS.ssh, TARGETS.http, TARGETS.socks5]) {
        for (const how of ["+notcp", "+tcp"]) {
          const { stdout } = await program([
            "dig",
            "+short",
            how,
            "+time=5",
            "+tries=1",
            "deep.example",
            `@${server}`,
          ]);
          assert.equal(stdout.trim(), server, `${how} ${server}`);
        }
      }
      const failed = await program(["dig", "+short", "+time=2", "+tries=1", DEEP_NAME]);
      assert.doesNotMatch(failed.stdout, /198\.18/);
    },
  );

  const fakeIp = () =>
    world.config(
      world.everyWay({ routes: [{ match: "*.corp.internal", to: "ssh" }], tun: { dns: "fake-ip" } }),
    );
  const namesUs = () => readFileSync("/etc/resolv.conf", "utf8").includes("nameserver 198.18.0.2");

  test("back in fake-ip and stopped, the system's name servers are as they were", async () => {
    await engine.reconfigure(fakeIp());
    assert.ok(namesUs());
    assert.equal(await engine.stop(), 0);
    assert.equal(machineState(), state);
    assert.equal(readFileSync("/etc/resolv.conf", "utf8"), RESOLV_CONF);
  });

  test(
    "name servers that another program sets meanwhile are asked from then on, and are there in the end",
    { skip },
    async () => {
      const { tun, ...rest } = fakeIp();
      const second = await world.engine({ ...rest, tun: tun as Record<string, unknown> });
      assert.ok(namesUs());
      const foreign = `# by a DHCP client\nnameserver ${UPSTREAM}\n`;
      nameServers.push(startDnsmasqIn("far", UPSTREAM, [`host-record=elsewhere.example,${FAR}`]));
      writeFileSync("/etc/resolv.conf", foreign);
      await until(namesUs, "the file names us again");
      await second.logs(/another program changed the system's name servers/);
      for (const host of [DEEP_NAME, "elsewhere.example"]) {
        const { stdout, stderr } = await program(["curl", "-sS", "-m", "10", `http://${host}/`]);
        assert.match(stdout, /hello from far away/, stderr);
      }
      assert.equal(await second.stop(), 0);
      assert.equal(readFileSync("/etc/resolv.conf", "utf8"), foreign);
      writeFileSync("/etc/resolv.conf", RESOLV_CONF);
      assert.equal(machineState(), state);
    },
  );
}
