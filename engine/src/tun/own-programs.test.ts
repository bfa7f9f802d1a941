import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { after, before, test } from "node:test";
import type { Endpoint } from "../endpoint.ts";
import { isOwnProgram } from "./own-programs.ts";

const skip = process.platform === "linux" ? false : "told on Linux only";

let server: Server;
let port: number;
const accepted: Socket[] = [];

before(async () => {
  server = createServer((socket) => accepted.push(socket.on("error", () => {})));
  server.listen(0, "::");
  await once(server, "listening");
  ({ port } = server.address() as AddressInfo);
});
after(() => {
  for (const socket of accepted) socket.destroy();
  server.close();
});

/** A program in a process group of its own, which says where its end of a connection is. */
async function startProgram(
  code: string,
): Promise<{ readonly child: ChildProcess; readonly source: Endpoint }> {
  // One process further down, as where a command is a script.
  const command = `node -e '${code}' & wait`;
  const child = spawn("sh", ["-c", command], { stdio: ["ignore", "pipe", "inherit"], detached: true });
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  const [host, ownPort] = line.toString().trim().split(" ");
  return { child, source: { host: host!, port: Number(ownPort) } };
}

function say(expression: string): string {
  return `const a = ${expression}; console.log(a.address.replace("::ffff:", ""), a.port)`;
}

for (const host of ["127.0.0.1", "::1"]) {
  test(`a connection of a program of ours is told from others, from ${host}`, { skip }, async () => {
    const code = `const s = require("net").connect(${port}, "${host}", () => { ${say("s.address()")} })`;
    const { child, source } = await startProgram(code);
    const other = connect(port, host);
    await once(other, "connect");
    try {
      const groups = new Set([child.pid!]);
      assert.equal(isOwnProgram(source, "tcp", groups), true);
      assert.equal(isOwnProgram({ host, port: other.localPort! }, "tcp", groups), false);
      assert.equal(isOwnProgram(source, "udp", groups), false);
      assert.equal(isOwnProgram(source, "tcp", new Set()), false);
      assert.equal(isOwnProgram(source, "tcp", new Set([process.pid])), false);
    } finally {
      other.destroy();
      process.kill(-child.pid!, "SIGKILL");
    }
  });
}

test(
  "a datagram socket that is bound to every address is its program's whatever the source",
  { skip },
  async () => {
    const code = `const s = require("dgram").createSocket("udp4"); s.bind(0, () => { ${say("s.address()")} })`;
    const { child, source } = await startProgram(code);
    const other = createSocket("udp4");
    other.bind(0);
    await once(other, "listening");
    try {
      const groups = new Set([child.pid!]);
      assert.equal(isOwnProgram({ host: "198.18.0.1", port: source.port }, "udp", groups), true);
      assert.equal(isOwnProgram({ host: "198.18.0.1", port: other.address().port }, "udp", groups), false);
    } finally {
      other.close();
      process.kill(-child.pid!, "SIGKILL");
    }
  },
);
