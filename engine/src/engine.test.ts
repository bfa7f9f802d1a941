import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { startEngine } from "./engine.ts";

const directory = mkdtempSync(join(tmpdir(), "sockeye-engine-"));
process.env["SOCKEYE_RUNTIME_DIR"] = directory;
after(() => rmSync(directory, { recursive: true }));

test("whoever asks an engine for its status while it stops, and afterwards, gets an answer", async () => {
  const engine = await startEngine({
    configText: `
listen: { socks5: "127.0.0.1:0" }
upstreams: { away: { type: socks5, address: "127.0.0.1:1" } }
default: away
log: { level: silent }`,
    version: "1.2.3",
  });
  const phases = new Set<string>();
  const watch = (): void => {
    const { phase } = engine.status();
    phases.add(phase);
    if (phase !== "stopped") setImmediate(watch);
  };
  watch();
  await engine.stop();
  phases.add(engine.status().phase);
  assert.deepEqual([...phases], ["running", "draining", "stopped"]);
});
