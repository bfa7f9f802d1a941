import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";

const LAUNCHERS = new URL("../bin", import.meta.url).pathname;
const root = mkdtempSync(join(tmpdir(), "sockeye-launcher-"));
const children = new Set<ChildProcess>();
after(() => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(root, { recursive: true });
});

/** To the launcher, the Node that it runs on looks older. What it hands over to does not inherit this. */
const AN_OLD_NODE = `data:text/javascript,
  Object.defineProperty(process, "versions", { value: { ...process.versions, node: "20.0.0" } });`;

let projects = 0;
/** A project with the launcher, a Node (unless there is none yet), and this program as the command. */
function project(program: string, hasNode = true): string {
  const folder = join(root, String(++projects));
  for (const part of ["cli/src", "node_modules/node/bin"]) mkdirSync(join(folder, part), { recursive: true });
  cpSync(LAUNCHERS, join(folder, "cli/bin"), { recursive: true });
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
  writeFileSync(join(folder, "cli/src/main.ts"), program);
  if (hasNode) symlinkSync(process.execPath, join(folder, "node_modules/node/bin/node"));
  return join(folder, "cli/bin/sockeye.mjs");
}

function launch(launcher: string, args: readonly string[] = []): ChildProcess {
  const child = spawn(process.execPath, ["--import", AN_OLD_NODE, launcher, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  children.add(child);
  child.on("exit", () => children.delete(child));
  return child;
}

describe("the launcher on an older Node", { concurrency: 3 }, () => {
  it("hands over to the project's Node, with the arguments, and passes on its status", async () => {
    const child = launch(
      project(
        "const said: string = process.argv.slice(2).join('|'); console.log(said, process.versions.node); process.exit(5);",
      ),
      ["a b", "--json"],
    );
    let out = "";
    child.stdout!.on("data", (chunk) => (out += String(chunk)));
    assert.deepEqual(await once(child, "close"), [5, null]);
    assert.equal(out, `a b|--json ${process.versions.node}\n`);
  });

  it("passes SIGINT, SIGTERM and SIGHUP on, and leaves the answer to the command", async () => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
      const child = launch(
        project(
          `process.on("${signal}", () => process.exit(42)); setInterval(() => {}, 1000); console.log("up");`,
        ),
      );
      await once(child.stdout!, "data");
      child.kill(signal);
      assert.deepEqual(await once(child, "close"), [42, null], signal);
    }
  });

  it("ends by the signal that ended the command", async () => {
    const child = launch(project(`console.log("up"); setInterval(() => {}, 1000);`));
    await once(child.stdout!, "data");
    child.kill("SIGTERM");
    assert.deepEqual(await once(child, "close"), [null, "SIGTERM"]);
  });

  it("says what to do where the project has no Node yet", async () => {
    const child = launch(project("", false));
    let err = "";
    child.stderr!.on("data", (chunk) => (err += String(chunk)));
    assert.deepEqual(await once(child, "close"), [1, null]);
    assert.match(
      err,
      /^sockeye: Node 24 or later is needed, and this is v[\d.]+; run "npm start" once[^\n]*\n$/,
    );
  });
});
