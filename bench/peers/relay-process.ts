// relay-process PORT TARGET_PORT: what Node costs at least. It takes connections and pipes each to the target's port;
// it speaks no protocol, so whoever connects speaks the target's.
import { connect, createServer } from "node:net";

const [port, target] = process.argv.slice(2).map(Number);

createServer({ allowHalfOpen: true, noDelay: true }, (from) => {
  const to = connect({ port: target!, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
  from.pipe(to).pipe(from);
  from.on("error", () => to.destroy());
  to.on("error", () => from.destroy());
}).listen({ port: port!, host: "127.0.0.1", backlog: 4096 });
