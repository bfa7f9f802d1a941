import { cpSync, existsSync, globSync, mkdirSync, readFileSync, realpathSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { defineConfig, type Plugin } from "vite";
import { carryAlong, nodeBundle, root, UNBUNDLED } from "./bundle.ts";

/** As native/build.mjs has them; a system has those that it needs. */
const NATIVE_MODULES = ["sshcrypto", "handover", "tun", "udp", "egress"];

/** The engine's threads, each an entry of its own: `history-worker` → engine/src/observe/history-worker.ts. */
const workers = Object.fromEntries(
  globSync("engine/src/**/*-worker.ts", { cwd: root }).map((path) => [basename(path, ".ts"), path]),
);

export default defineConfig({
  ...nodeBundle({
    "engine-process": "electron/src/engine-process.ts",
    ...workers,
  }),
  plugins: [
    placesInTheBundle(),
    carryAlong((folder) => {
      for (const name of NATIVE_MODULES) {
        const file = `native/${name}/build/Release/${name}.node`;
        if (existsSync(join(root, file))) copy(join(root, file), join(folder, file));
      }
      for (const name of withDependencies(UNBUNDLED)) {
        copy(realpathSync(join(root, "node_modules", name)), join(folder, "node_modules", name));
      }
    }),
  ],
});

/** The engine's sources name their neighbours from where they are themselves; in the bundle all lie in one folder. */
function placesInTheBundle(): Plugin {
  return {
    name: "sockeye:places",
    transform: {
      filter: { id: /engine\/src\/.*\.ts$/ },
      handler: (code) =>
        code
          .replaceAll(/new URL\("(?:\.\.\/)+native\//g, 'new URL("./native/')
          .replaceAll(/new URL\("\.\/([\w-]+-worker)\.ts"/g, 'new URL("./$1.mjs"'),
    },
  };
}

function copy(from: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true });
  cpSync(from, to, {
    recursive: true,
    // Tests, examples and sources of compiled code are of no use there.
    filter: (path) => !/\/(test|examples|src|\.github)(\/|$)/.test(path.slice(from.length)),
  });
}

/** Packages and what they need, without what they could do with besides. */
function withDependencies(names: readonly string[]): Set<string> {
  const all = new Set(names);
  for (const name of all) {
    const manifest = join(root, "node_modules", name, "package.json");
    const { dependencies = {} } = JSON.parse(readFileSync(manifest, "utf8")) as {
      dependencies?: Record<string, string>;
    };
    for (const each of Object.keys(dependencies)) all.add(each);
  }
  return all;
}
