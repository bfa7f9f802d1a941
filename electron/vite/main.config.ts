import { createHash } from "node:crypto";
import { cpSync, existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { defineConfig, type Plugin } from "vite";
import { nodeBundle, output, root } from "./bundle.ts";

const { bugs = "" } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { bugs?: string };

/** macOS signs the helper after this code was built, which changes it. */
function helperHash(): string {
  const program = join(root, "native/helper/build/Release/sockeye-helper");
  if (process.platform === "darwin" || !existsSync(program)) return "";
  return createHash("sha256").update(readFileSync(program)).digest("hex");
}

/** The interface and the icons, which scripts/build-interface.mjs and scripts/build-icons.mjs make. */
function carryAlong(): Plugin {
  return {
    name: "sockeye:carry",
    writeBundle() {
      const folders = { interface: "renderer/dist", icons: "resources/generated" };
      for (const [name, from] of Object.entries(folders)) {
        cpSync(join(root, from), join(output, name), {
          recursive: true,
          filter: (path) => !path.endsWith(".sources"),
        });
      }
    },
  };
}

export default defineConfig({
  ...nodeBundle({ main: "electron/src/main.ts" }),
  plugins: [carryAlong()],
  define: { HELPER_SHA256: JSON.stringify(helperHash()), ISSUES_ADDRESS: JSON.stringify(bugs) },
});
