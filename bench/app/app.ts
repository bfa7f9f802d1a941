import { loadavg } from "node:os";
import { buildInterface, launchChromium, skipWithoutChromium } from "../../test/peers/browser.ts";
import type { Bench, Rig, Table } from "../bench.ts";
import { bundleTable } from "./bundle.ts";
import { startServedEngine } from "./engine.ts";
import { measureFrames } from "./frames.ts";
import { measureHour } from "./hour.ts";
import { measureLoading } from "./loading.ts";

export const app: Bench = {
  name: "app",
  about:
    "the interface in a browser: size, time to the first page, frames with 10,000 flows, memory over an hour",
  async run(rig: Rig): Promise<Table[]> {
    const reason = skipWithoutChromium();
    if (reason !== false) {
      rig.missing(`the interface: ${reason}`);
      return [];
    }
    await buildInterface();
    await using stack = new AsyncDisposableStack();
    const browser = await launchChromium();
    stack.defer(() => browser.close());
    const engine = stack.use(await startServedEngine());
    const { table: loading, files } = await measureLoading(rig, browser, engine.address);
    const tables = [
      bundleTable(files),
      loading,
      await measureHour(rig, browser, engine),
      await measureFrames(rig, browser, engine),
    ];
    const load = `Chromium ${browser.version()}, headless, without a graphics card; load average when it ended: ${loadavg()[0]!.toFixed(1)}.`;
    return tables.map((table) => ({ ...table, notes: [...table.notes, load] }));
  },
};
