import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";

/** A folder of the test file's own, which goes with it. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "sockeye-desktop-"));
  after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
