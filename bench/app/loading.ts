import type { Browser } from "playwright-core";
import { median, type Rig, type Table } from "../bench.ts";

const LOADS = 9;
const QUICK_LOADS = 3;

interface Load {
  /** Milliseconds since the navigation began. */
  readonly paint: number;
  readonly interactive: number;
  readonly files: ReadonlySet<string>;
}

/** How long the first page takes, with nothing in the browser's caches, and which files it asks for. */
export async function measureLoading(
  rig: Rig,
  browser: Browser,
  address: string,
): Promise<{ table: Table; files: ReadonlySet<string> }> {
  const loads: Load[] = [];
  await load(browser, address);
  while (loads.length < (rig.quick ? QUICK_LOADS : LOADS)) loads.push(await load(browser, address));
  const row = (what: string, figures: readonly number[]): string[] => [
    what,
    median(figures).toFixed(0),
    Math.min(...figures).toFixed(0),
    Math.max(...figures).toFixed(0),
  ];
  const table = {
    title: "app: from the address to the first page",
    notes: [
      `${loads.length} loads in a browser that runs, each in a profile of its own. Interactive: the engine has answered over its WebSocket, and the switch is on the page and works. Aim: less than 500 ms.`,
    ],
    columns: ["until", "median ms", "lowest", "highest"],
    rows: [
      row(
        "first contentful paint",
        loads.map(({ paint }) => paint),
      ),
      row(
        "interactive",
        loads.map(({ interactive }) => interactive),
      ),
    ],
  };
  return { table, files: loads[0]!.files };
}

async function load(browser: Browser, address: string): Promise<Load> {
  const context = await browser.newContext({ viewport: { width: 1180, height: 760 } });
  const page = await context.newPage();
  const files = new Set<string>();
  page.on("response", (response) => {
    files.add(new URL(response.url()).pathname.split("/").at(-1) || "index.html");
  });
  await page.goto(address);
  await page.getByRole("switch", { name: "Connect" }).waitFor();
  const [paint, interactive] = await page.evaluate<[number, number]>(`new Promise((resolve) => {
    const look = () => {
      const at = (name) => performance.getEntriesByName(name)[0]?.startTime;
      const found = [at("first-contentful-paint"), at("interactive")];
      if (found.includes(undefined)) requestAnimationFrame(look);
      else resolve(found);
    };
    look();
  })`);
  await context.close();
  return { paint, interactive, files };
}
