import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, it } from "node:test";
import { HelperClient } from "./client.ts";
import { connectPipe } from "./windows-pipe.ts";

const folder = mkdtempSync(join(tmpdir(), "sockeye-pipe-"));
after(() => rmSync(folder, { recursive: true }));

/** A helper at the other end of a Unix socket that answers each frame with what `answer` makes of it. */
async function startHelper(answer: (frame: Buffer, socket: Socket) => void): Promise<[string, Server]> {
  const path = join(folder, `helper-${Math.random()}`);
  const server = createServer((socket) => {
    socket.on("error", () => {});
    let rest = Buffer.alloc(0);
    socket.on("data", (bytes: Buffer) => {
      rest = Buffer.concat([rest, bytes]);
      while (rest.length >= 4 && rest.length >= 4 + rest.readUInt32LE()) {
        const end = 4 + rest.readUInt32LE();
        answer(rest.subarray(4, end), socket);
        rest = rest.subarray(end);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return [path, server];
}

/** The answer to a request, with these fields. */
function granted(request: Buffer, ...fields: number[]): Buffer {
  const frame = Buffer.from([0, 0, 0, 0, request[0]! | 0x80, ...request.subarray(1, 5), 0, ...fields]);
  frame.writeUInt32LE(frame.length - 4);
  return frame;
}

const HELLO = [1, 0, 2, 0x30, 0x2e];

it("a session over a pipe answers requests, also byte by byte", async () => {
  const [path, server] = await startHelper((request, socket) => {
    const answer = request[0] === 1 ? granted(request, ...HELLO) : granted(request, 3);
    for (const byte of answer) socket.write(Buffer.of(byte));
  });
  const client = await HelperClient.takePipe(await connectPipe(path));
  assert.equal(client.build, "0.");
  assert.equal(await client.dns(["198.18.0.1"]), "system");
  client.close();
  server.close();
});

it("a pipe that ends, or carries no frames, ends the session", async () => {
  for (const last of [Buffer.alloc(0), Buffer.from([0, 0, 0, 0]), Buffer.from([0, 0, 2, 0])]) {
    const [path, server] = await startHelper((request, socket) => {
      if (request[0] === 1) socket.write(granted(request, ...HELLO));
      else socket.end(last);
    });
    const client = await HelperClient.takePipe(await connectPipe(path));
    await assert.rejects(client.dns(["198.18.0.1"]), { code: "closed" });
    server.close();
  }
});

it("without a pipe there is an error that names it", async () => {
  await assert.rejects(connectPipe(join(folder, "nothing")), { code: "ENOENT" });
});
