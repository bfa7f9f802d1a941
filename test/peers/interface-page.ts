import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import type { Locator, Page } from "playwright-core";

const PATIENCE_MS = 20_000;
const LOOK_MS = 40;

/** Goes to a page of the interface as a link in it would: `#/routes`. */
export async function goTo(page: Page, hash: string): Promise<void> {
  await page.evaluate(`location.hash = ${JSON.stringify(hash)}`);
  await page.locator("main h1").first().waitFor({ state: "attached" });
}

/** @throws where it does not come to that in 20 seconds. */
export async function eventually(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  while (!(await condition())) {
    assert.ok(Date.now() < deadline, `it did not come to that: ${what}`);
    await sleep(LOOK_MS);
  }
}

export async function hasFocus(element: Locator): Promise<boolean> {
  return (await element.and(element.page().locator(":focus")).count()) === 1;
}
