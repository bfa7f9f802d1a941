import { join } from "node:path";
import { defineConfig } from "vite";
import { output, root } from "./bundle.ts";

/** A sandboxed preload script is one CommonJS file, and may require nothing but Electron. */
export default defineConfig({
  root,
  publicDir: false,
  logLevel: "warn",
  build: {
    outDir: output,
    emptyOutDir: false,
    target: "chrome140",
    minify: false,
    copyPublicDir: false,
    reportCompressedSize: false,
    rolldownOptions: {
      input: { preload: join(root, "electron/src/preload.ts") },
      external: [/^electron(\/.*)?$/],
      output: { format: "cjs", entryFileNames: "[name].cjs" },
    },
  },
});
