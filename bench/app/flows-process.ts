// flows-process SOCKS_PORT TARGET_PORT COUNT: so many flows through the proxy, each of which sends some bytes every two seconds.
// It prints {"open": COUNT} when they are open, and holds them until it is ended.
import { once } from "node:events";
import { connect, type Socket } from "node:net";

const ROUND_MS = 2_000;
const TICK_MS = 100;
const AT_ONCE = 64;
const MOST_BYTES = 1_400;

const [proxy, target, count] = process.argv.slice(2).map(Number) as [number, number, number];

async function open(): Promise<Socket> {
  const socket = connect({ port: proxy, host: "127.0.0.1", noDelay: true });
  socket.on("error", () => {});
  await once(socket, "connect");
  socket.write(Buffer.of(5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, target >> 8, target & 255));
  for (let got = 0; got < 12;) got += ((await once(socket, "data")) as [Buffer])[0].length;
  socket.resume();
  return socket;
}

const flows: Socket[] = [];
await Promise.all(
  Array.from({ length: AT_ONCE }, async (_, place) => {
    for (let index = place; index < count; index += AT_ONCE) flows.push(await open());
  }),
);
console.log(JSON.stringify({ open: flows.length }));

const bytes = Buffer.alloc(MOST_BYTES);
const turns = ROUND_MS / TICK_MS;
let turn = 0;
setInterval(() => {
  turn = (turn + 1) % turns;
  for (let index = turn; index < flows.length; index += turns) {
    // Each at a rate of its own, so that a table that is sorted by rate has something to sort.
    flows[index]!.write(bytes.subarray(0, 100 + ((index * 7919) % (MOST_BYTES - 100))));
  }
}, TICK_MS);
