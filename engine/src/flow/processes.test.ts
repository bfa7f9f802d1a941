import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Flow } from "./flow.ts";
import { FlowProcesses } from "./processes.ts";

const skip = process.platform === "linux" ? false : "told on Linux only";

function flowFrom(host: string, port: number, protocol: "tcp" | "udp" = "tcp"): Flow {
  const origin = {
    inbound: "tun",
    protocol,
    source: { host, port },
    target: { host: "x.example", port: 1 },
  } as const;
  return new Flow(1, origin, { to: "direct", rule: undefined }, () => {});
}

/** Looks until nothing is left to be found. */
async function looked(...flows: Flow[]): Promise<void> {
  const processes = new FlowProcesses(flows);
  const end = performance.now() + 20_000;
  while (flows.some((flow) => flow.process === undefined) && performance.now() < end) {
    processes.look();
    await sleep(20);
  }
  await processes.close();
}

describe("the program that opened a flow", { skip }, () => {
  let server: Server;
  let port: number;
  const accepted: Socket[] = [];
  const children: ChildProcess[] = [];
  before(async () => {
    server = createServer((socket) => accepted.push(socket.on("error", () => {})));
    server.listen(0, "::");
    await once(server, "listening");
    ({ port } = server.address() as AddressInfo);
  });
  after(() => {
    for (const child of children) child.kill("SIGKILL");
    for (const socket of accepted) socket.destroy();
    server.close();
  });

  /** A program that prints the port of its socket. */
  async function program(code: string): Promise<{ readonly pid: number; readonly port: number }> {
    const child = spawn(process.execPath, ["-e", code], { stdio: ["ignore", "pipe", "inherit"] });
    children.push(child);
    const [line] = (await once(child.stdout, "data")) as [Buffer];
    return { pid: child.pid!, port: Number(line.toString()) };
  }

  for (const host of ["127.0.0.1", "::1"]) {
    it(`is found by the address of its socket, ${host}`, async () => {
      const found = await program(
        `const s = require("net").connect(${port}, "${host}", () => console.log(s.localPort))`,
      );
      const own = connect(port, host);
      await once(own, "connect");
      const [theirs, ours] = [flowFrom(host, found.port), flowFrom(host, own.localPort!)];
      await looked(theirs, ours);
      assert.equal(theirs.process?.pid, found.pid);
      assert.match(theirs.process.name, /^node/);
      assert.deepEqual(theirs.describe().process, theirs.process);
      assert.equal(ours.process?.pid, process.pid);
      own.destroy();
    });
  }

  it("is found for an IPv4 address that a socket of IPv6 has", async () => {
    const found = await program(
      `const s = require("net").connect(${port}, "::ffff:127.0.0.1", () => console.log(s.localPort))`,
    );
    const flow = flowFrom("127.0.0.1", found.port);
    await looked(flow);
    assert.equal(flow.process?.pid, found.pid);
  });

  it("is found for datagrams, from a socket that is bound to every address", async () => {
    const socket = createSocket("udp4");
    socket.bind(0);
    await once(socket, "listening");
    const flow = flowFrom("127.0.0.1", socket.address().port, "udp");
    await looked(flow);
    assert.equal(flow.process?.pid, process.pid);
    socket.close();
  });

  it("is nobody where the source is no socket of this machine, and is not looked for again", async () => {
    const flow = flowFrom("192.0.2.7", 40_000);
    await looked(flow);
    assert.equal(flow.process, null);
    assert.equal("process" in flow.describe(), false);
  });

  it("is looked for once a second at most, whoever looks how often", async () => {
    const own = connect(port, "127.0.0.1");
    await once(own, "connect");
    const flows = [flowFrom("127.0.0.1", own.localPort!)];
    const processes = new FlowProcesses(flows);
    processes.look();
    while (flows[0]!.process === undefined) await sleep(5);
    await sleep(5);
    flows.push(flowFrom("127.0.0.1", own.localPort!));
    for (let i = 0; i < 100; i++) processes.look();
    await sleep(100);
    assert.equal(flows[1]!.process, undefined);
    await processes.close();
    own.destroy();
  });

  it("takes little time where ten thousand flows are looked at", async () => {
    const own = connect(port, "127.0.0.1");
    await once(own, "connect");
    const others = Array.from({ length: 10_000 }, (_, i) => flowFrom("192.0.2.7", i + 20_000));
    const flow = flowFrom("127.0.0.1", own.localPort!);
    const started = process.cpuUsage();
    const processes = new FlowProcesses([...others, flow]);
    processes.look();
    while (flow.process === undefined) await sleep(5);
    await processes.close();
    const { user, system } = process.cpuUsage(started);
    assert.ok((user + system) / 1e6 < 1, `${(user + system) / 1e6} s`);
    own.destroy();
  });
});
