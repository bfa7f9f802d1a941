import { join, resolve } from "node:path";
import type { Plugin, UserConfig } from "vite";

export const root = join(import.meta.dirname, "../..");
/** Everything that the app runs, and nothing else: this folder is what is packaged. `--outDir` names another. */
export const output = join(root, ".vite/build");

/** Loaded by its own name at run time: its insides are changed while it runs, so there may be one copy only. */
export const UNBUNDLED = ["ssh2"];

/** A bundle for Node inside Electron: one file, with everything in it but what Electron and Node bring. */
export function nodeBundle(entry: Record<string, string>): UserConfig {
  return {
    root,
    publicDir: false,
    logLevel: "warn",
    ssr: { noExternal: true, external: UNBUNDLED },
    build: {
      ssr: true,
      outDir: output,
      emptyOutDir: false,
      target: "node24",
      minify: false,
      sourcemap: false,
      copyPublicDir: false,
      reportCompressedSize: false,
      rolldownOptions: {
        input: Object.fromEntries(Object.entries(entry).map(([name, path]) => [name, join(root, path)])),
        external: [/^electron(\/.*)?$/, ...UNBUNDLED],
        output: {
          format: "esm",
          entryFileNames: "[name].mjs",
          chunkFileNames: "[name]-[hash].mjs",
        },
      },
    },
  };
}

/** Copies what can't be in a bundle to beside it. */
export function carryAlong(carry: (folder: string) => void): Plugin {
  let folder = output;
  return {
    name: "sockeye:carry",
    configResolved(config) {
      folder = resolve(config.root, config.build.outDir);
    },
    writeBundle() {
      carry(folder);
    },
  };
}
