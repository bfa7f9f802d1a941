import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import type { Rig, Table } from "../bench.ts";
import { startChild } from "../child.ts";
import { descriptorLimit } from "../usage.ts";
import type { ServedEngine } from "./engine.ts";

const FLOWS = 10_000;
const SECONDS = 10;
const QUICK_SECONDS = 2;
/** What the engine has open beside the two sockets of each flow. */
const OTHER_DESCRIPTORS = 200;
const OPENING_MS = 120_000;
const LATE_MS = 32;

/** How evenly the page of connections is drawn while every flow changes. */
export async function measureFrames(rig: Rig, browser: Browser, engine: ServedEngine): Promise<Table> {
  const possible = Math.floor((descriptorLimit(engine.child.pid) - OTHER_DESCRIPTORS) / 2);
  const flows = Math.min(FLOWS, possible);
  if (flows < FLOWS) rig.missing(`app: ${FLOWS} flows: the limit of descriptors allows ${flows}`);
  await using load = await startChild({
    command: process.execPath,
    args: [
      join(import.meta.dirname, "flows-process.ts"),
      ...[engine.socksPort, rig.target.sink, flows].map(String),
    ],
    patience: OPENING_MS,
  });
  const { open } = JSON.parse(load.firstLine) as { open: number };
  rig.progress(`${open} flows are open`);

  const context = await browser.newContext({ viewport: { width: 1180, height: 760 } });
  const page = await context.newPage();
  await page.goto(engine.address);
  await page.evaluate(`location.hash = "#/connections"`);
  await page.locator("[data-index='0']").waitFor();
  await page.getByRole("columnheader", { name: "Rate" }).getByRole("button").click();
  const rows = [
    await measure(rig, page, "still, sorted by rate", ""),
    await measure(rig, page, "scrolling, sorted by rate", "box.scrollTop += 40;"),
  ];
  const shown = Number(await page.locator("[aria-rowcount]").first().getAttribute("aria-rowcount")) - 1;
  await context.close();
  return {
    title: "app: frames of the page of connections",
    notes: [
      `${shown} flows through a real engine, each of which sends every two seconds; the time from one animation frame to the next during ${seconds(rig)} s. Engine, load, target and browser share the machine's cores. Aim: none over ${LATE_MS} ms.`,
    ],
    columns: ["while", "frames", "median ms", "99 % ms", "longest ms", `over ${LATE_MS} ms`],
    rows,
  };
}

function seconds(rig: Rig): number {
  return rig.quick ? QUICK_SECONDS : SECONDS;
}

async function measure(rig: Rig, page: Page, what: string, each: string): Promise<string[]> {
  const deltas = await page.evaluate<number[]>(`new Promise((resolve) => {
    const box = document.querySelector("[data-index='0']").parentElement.parentElement;
    const deltas = [];
    let [began, last] = [performance.now(), undefined];
    const frame = (now) => {
      if (last !== undefined) deltas.push(now - last);
      last = now;
      ${each}
      if (now - began < ${1000 * seconds(rig)}) requestAnimationFrame(frame);
      else resolve(deltas);
    };
    requestAnimationFrame(frame);
  })`);
  const sorted = deltas.toSorted((a, b) => a - b);
  const share = (part: number) => sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))]!;
  const late = sorted.filter((ms) => ms > LATE_MS).length;
  rig.progress(`${what}: 99 % within ${share(0.99).toFixed(1)} ms`);
  return [
    what,
    String(sorted.length),
    share(0.5).toFixed(1),
    share(0.99).toFixed(1),
    sorted.at(-1)!.toFixed(1),
    `${((100 * late) / sorted.length).toFixed(2)} %`,
  ];
}
