import assert from "node:assert/strict";
import { execFileSync, spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import {
  appendFileSync,
  chmodSync,
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { after, before, describe, it } from "node:test";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { HELPER_SOCKET, HelperClient } from "../../engine/src/helper/client.ts";
import { encodeRequest } from "../../engine/src/helper/protocol.ts";
import { helperProgram } from "../../engine/src/helper/spawn.ts";
import { until } from "../peers/exercise.ts";
import { DEVICE, makeMachine, machineState, run, startHelper } from "../peers/helper-machine.ts";
import { findProgram, makePeerFolder, skipWithout, skipWithoutRoot } from "../peers/peer-process.ts";
import { enterNamespace, runAsRoot } from "../peers/namespace.ts";

const ATTACKER = fileURLToPath(new URL("../peers/helper-attacker.c", import.meta.url));
const CALLER = fileURLToPath(new URL("../peers/helper-caller-process.ts", import.meta.url));

async function startListening(): Promise<ChildProcess> {
  // Of a helper that was killed, or had its socket from elsewhere.
  rmSync(HELPER_SOCKET, { force: true });
  const helper = spawn(helperProgram(), ["--listen"], { stdio: ["ignore", "ignore", "inherit"] });
  await until(() => existsSync(HELPER_SOCKET), "the helper's socket");
  return helper;
}

function buildAttacker(): string {
  const program = join(makePeerFolder("attacker"), "attacker");
  execFileSync("cc", ["-O1", "-Wall", "-Wextra", "-Werror", "-o", program, ATTACKER], { stdio: "inherit" });
  return program;
}

async function connectWhenFree(): Promise<HelperClient> {
  for (;;) {
    try {
      return await HelperClient.connect();
    } catch (error) {
      // The place of the one before is not free at once.
      await new Promise((resolve) => setTimeout(resolve, 10));
      assert.equal((error as { code?: string }).code, "busy");
    }
  }
}

async function stopListening(helper: ChildProcess): Promise<void> {
  assert.equal(helper.exitCode, null, "it still runs");
  const exited = once(helper, "exit");
  helper.kill();
  assert.deepEqual(await exited, [0, null]);
}

/** What the helper says to these bytes before it closes the connection. */
async function wordsAfter(bytes: Buffer): Promise<string> {
  const socket: Socket = connect(HELPER_SOCKET);
  socket.on("error", () => undefined);
  socket.write(bytes);
  let all = "";
  for await (const chunk of socket) all += String(chunk);
  return all;
}

if (process.argv[2] === "as-root") {
  // In namespaces of the machine's own root, where there are other users: see below.
  // Before the machine is made: its /etc knows no compiler.
  const attacker = findProgram("cc") && buildAttacker();
  makeMachine();
  appendFileSync("/etc/passwd", "late:x:1235:1235::/:/bin/false\n");
  writeFileSync(
    "/etc/group",
    readFileSync("/etc/group", "utf8").replace("sockeye:x:4242:", "sockeye:x:4242:other,late"),
  );
  describe("a listening helper is asked", () => {
    const cases: readonly [string, string, RegExp][] = [
      ["by root", "0 0", /^ok$/],
      ["by a member of the group", "1234 1234 4242", /^ok$/],
      ["by a process of the group", "1234 4242", /^ok$/],
      ["by a user who joined the group after logging in", "1235 1235", /^ok$/],
      ["by anybody else", "1234 1234", /^forbidden .*group sockeye/],
      ["by a user of the group's number", "4242 1234", /^forbidden/],
    ];
    for (const [name, ids, wanted] of cases) {
      for (const socket of ["its own socket", "a socket that lets everybody connect"] as const) {
        it(`${name}, on ${socket}`, async () => {
          const helper = socket === "its own socket" ? await startListening() : await startPassed();
          const { stdout, stderr } = spawnSync(process.execPath, [CALLER, ...ids.split(" ")], {
            encoding: "utf8",
            timeout: 20_000,
          });
          helper.kill();
          await once(helper, "exit");
          assert.match(stdout.trim(), wanted, stderr);
          if (socket !== "its own socket" && wanted.source.startsWith("^forbidden"))
            assert.match(stdout, /only root and members of the group sockeye may ask/);
        });
      }
    }
  });
  describe(
    "a listening helper is not held up by anybody who may not ask",
    { skip: attacker === undefined && skipWithout("cc") },
    () => {
      let helper: ChildProcess;
      const attackers: ChildProcess[] = [];
      const program = "/run/helper-attacker";
      before(async () => {
        copyFileSync(attacker!, program);
        chmodSync(program, 0o755);
        run("ip link set lo up");
        helper = await startListening();
      });
      after(() => {
        for (const each of attackers) each.kill();
        return stopListening(helper);
      });

      /** As a user who is nobody's member; returns once it has done what it does, and goes on. */
      async function attack(way: string): Promise<void> {
        const ids = ["--reuid=1234", "--regid=1234", "--clear-groups"];
        const started = spawn("setpriv", [...ids, program, HELPER_SOCKET, way], {
          stdio: ["pipe", "pipe", "inherit"],
        });
        attackers.push(started);
        const [said] = (await once(started.stdout, "data")) as [Buffer];
        assert.equal(String(said), "done\n");
      }

      /** That it answers is asked of it while it serves somebody, and while it serves nobody. */
      async function isServed(served: HelperClient): Promise<void> {
        assert.equal((await served.status()).captured, 0);
        await assert.rejects(HelperClient.connect(), { code: "busy" });
        served.close();
        (await connectWhenFree()).close();
      }

      for (const [what, way] of [
        ["descriptors whose closing takes an hour", "descriptor"],
        ["100 connections that say nothing", "crowd"],
        ["half a frame", "half"],
      ] as const) {
        it(`by ${what}`, { timeout: 20_000 }, async () => {
          const served = await connectWhenFree();
          for (let i = 0; i < 3; i++) await attack(way);
          await isServed(served);
        });
      }

      it("and nothing of them is left in it", async () => {
        // Its own are six, and some that it was started with.
        const descriptors = () => readdirSync(`/proc/${helper.pid}/fd`).length;
        await until(() => descriptors() < 20, "no descriptor is left", 10_000);
        const children = readFileSync(`/proc/${helper.pid}/task/${helper.pid}/children`, "utf8").trim();
        assert.ok(children.split(" ").length <= 17, "processes that see them off are few");
      });
    },
  );
} else if (await enterNamespace(import.meta.filename)) {
  makeMachine();
  const clean = machineState();

  describe("a listening helper", () => {
    let helper: ChildProcess;
    before(async () => {
      helper = await startListening();
    });
    after(() => stopListening(helper));

    it("serves one client after another, and undoes when it goes", async () => {
      for (let i = 0; i < 3; i++) {
        const client = await HelperClient.connect();
        assert.match(client.build, /^\d+\.\d+\.\d+/);
        const { descriptor } = await client.open(DEVICE);
        await client.capture({ networks: ["0.0.0.0/0"], excluded: [], killSwitch: false });
        assert.notEqual(machineState(), clean);
        closeSync(descriptor);
        client.close();
        await until(() => machineState() === clean, "the undo");
      }
    });

    it("tells a second client who is served, and one with a helper of its own as well", async () => {
      const first = await HelperClient.connect();
      const busy = {
        code: "busy",
        message: `TUN mode is in use already, by process ${process.pid} of user 0`,
      };
      await assert.rejects(HelperClient.connect(), busy);
      await assert.rejects(startHelper(), busy);
      assert.equal((await first.status()).captured, 0);
      first.close();
    });

    it("ends the connection at what is no request, says why, and serves on", async () => {
      const hello = encodeRequest(1, { verb: "hello", version: 1 });
      const cases: readonly [Buffer, RegExp][] = [
        [Buffer.from([0, 0, 0, 0]), /empty or longer/],
        [Buffer.from([1, 0, 1, 0]), /empty or longer/],
        [Buffer.from("GET / HTTP/1.1\r\n\r\n"), /empty or longer/],
        [Buffer.concat([hello, Buffer.from([5, 0, 0, 0, 99, 1, 0, 0, 0])]), /the verb is unknown/],
        [
          Buffer.concat([Buffer.from([8, 0, 0, 0]), hello.subarray(4), Buffer.alloc(1)]),
          /bytes after the last field/,
        ],
        [Buffer.concat([Buffer.from([6, 0, 0, 0]), hello.subarray(4)]), /ends within a field/],
        [encodeRequest(1, { verb: "hello", version: 2 }), /speaks version 1 .* asked for version 2/],
      ];
      for (const [bytes, wanted] of cases) {
        assert.match(await wordsAfter(bytes), wanted);
        await until(() => machineState() === clean, "nothing left");
      }
      (await HelperClient.connect()).close();
    });

    it("takes frames however they are cut, and nothing before a hello", async () => {
      const socket = connect(HELPER_SOCKET);
      let all = "";
      socket.on("data", (chunk: Buffer) => (all += chunk.toString("latin1")));
      const frames = Buffer.concat([
        encodeRequest(1, { verb: "status" }),
        encodeRequest(2, { verb: "hello", version: 1 }),
        encodeRequest(3, { verb: "status" }),
      ]);
      for (const byte of frames) {
        socket.write(Buffer.from([byte]));
        await new Promise((resolve) => setImmediate(resolve));
      }
      await until(() => all.includes("\x87\x03\0\0\0\0"), "the answer to the second status");
      assert.match(all, /^.{4}\x87\x01\0\0\0\x05.*the first request must be a hello/s);
      socket.destroy();
    });

    it("gives the place of a client that says nothing to another after 5 seconds", async () => {
      await until(() => machineState() === clean, "nothing left");
      assert.equal(await wordsAfter(Buffer.alloc(0)), "");
      (await HelperClient.connect()).close();
    });
  });

  describe("a helper that is missing", () => {
    it("is told as such", () => assert.rejects(HelperClient.connect(), { code: "missing" }));
  });
} else {
  it("a listening helper is asked by other users", { skip: skipWithoutRoot() }, async () => {
    const said = await runAsRoot(import.meta.filename);
    assert.match(said, /# pass 16/);
  });
}

/** As systemd starts it, with a socket that it made: here one that everybody may connect to. */
async function startPassed(): Promise<ChildProcess> {
  const server = createServer();
  const made = "/run/made.sock";
  await new Promise<void>((resolve) => server.listen({ path: made, writableAll: true }, resolve));
  // Under this name it stays when the server below is closed.
  mkdirSync(dirname(HELPER_SOCKET), { recursive: true });
  renameSync(made, HELPER_SOCKET);
  const handle = (server as unknown as { readonly _handle: { readonly fd: number } })._handle;
  const helper = spawn("sh", ["-c", 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" --listen', helperProgram()], {
    stdio: ["ignore", "ignore", "inherit", handle.fd],
  });
  await once(helper, "spawn");
  // Both would accept; from here on only the helper does.
  server.close();
  return helper;
}
