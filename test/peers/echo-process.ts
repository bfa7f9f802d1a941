// An echo server in a process of its own, for tests that need more descriptors than one process may have. Prints its port;
// ends with its standard input.
import { startEcho } from "./echo.ts";

const echo = await startEcho();
console.log(echo.port);
process.stdin.on("end", () => process.exit(0)).resume();
