import { createHash } from "node:crypto";
import { cpSync, existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { defineConfig } from "vite";
import { carryAlong, nodeBundle, root } from "./bundle.ts";

const { bugs = "" } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { bugs?: string };

/** macOS signs the helper after this code was built, which changes it. */
function helperHash(): string {
  const program = join(root, "native/helper/build/Release/sockeye-helper");
  if (process.platform === "darwin" || !existsSync(program)) return "";
  return createHash("sha256").update(readFileSync(program)).digest("hex");
}

/** What scripts/build-interface.mjs and scripts/build-icons.mjs make. */
const folders = { interface: "renderer/dist", icons: "resources/generated" };

export default defineConfig({
  ...nodeBundle({ main: "electron/src/main.ts" }),
  plugins: [
    carryAlong((folder) => {
      for (const [name, from] of Object.entries(folders)) {
        const filter = (path: string): boolean => !path.endsWith(".sources");
        cpSync(join(root, from), join(folder, name), { recursive: true, filter });
      }
    }),
  ],
  define: { HELPER_SHA256: JSON.stringify(helperHash()), ISSUES_ADDRESS: JSON.stringify(bugs) },
});
