// Plays the engine in a process of its own, to be killed: starts a helper and says each step as it begins it. In a namespace.
import { DEVICE, startHelper, TUN } from "./helper-machine.ts";

const { client } = await startHelper();
const say = (step: number): void => void process.stdout.write(`${step}\n`);

say(0);
await client.open(DEVICE);
say(1);
await client.capture({ networks: ["0.0.0.0/0", "::/0"], excluded: ["192.0.2.0/24"], killSwitch: false });
say(2);
await client.dns([TUN]);
say(3);
await client.capture({ networks: ["10.0.0.0/8"], excluded: [], killSwitch: false });
say(4);
await client.release();
say(5);
setInterval(() => undefined, 1000);
