// Node 24 runs the TypeScript as it is; an older Node hands over to the one that the project installs.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

/**
 * Runs a command's TypeScript with this process's arguments, here or in a child whose end becomes this process's.
 * @param {string} command as the user knows it, for complaints
 * @param {URL} main
 */
export async function launch(command, main) {
  const [major] = process.versions.node.split(".").map(Number);
  if (major >= 24) await import(main.href);
  else handOver(command, main);
}

function handOver(command, main) {
  const node = fileURLToPath(new URL("../../node_modules/node/bin/node", import.meta.url));
  if (!existsSync(node)) {
    console.error(
      `${command}: Node 24 or later is needed, and this is ${process.version}; run "npm start" once, which installs it`,
    );
    process.exit(1);
  }
  const child = spawn(node, [fileURLToPath(main), ...process.argv.slice(2)], { stdio: "inherit" });
  // A terminal's Ctrl-C reaches the child by itself, and a second one would cut its flows; all else is passed on.
  process.on("SIGINT", () => {
    if (!process.stdin.isTTY) child.kill("SIGINT");
  });
  for (const signal of ["SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  child.on("error", (error) => {
    console.error(`${command}: can't start ${node}: ${error.message}`);
    process.exit(1);
  });
  child.on("exit", (code, signal) => {
    if (signal === null) process.exit(code);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}
