import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, gzipSync } from "node:zlib";
import type { Table } from "../bench.ts";

const BUILT = join(import.meta.dirname, "..", "..", "renderer", "dist");

/**
 * What the interface weighs.
 * @param loaded names of the files that its first page asks for.
 */
export function bundleTable(loaded: ReadonlySet<string>): Table {
  const files = readdirSync(BUILT, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.name.startsWith("."))
    .map(({ parentPath, name }) => ({ name, content: readFileSync(join(parentPath, name)) }));
  const row = (what: string, wanted: (name: string) => boolean): string[] => {
    const chosen = files.filter(({ name }) => wanted(name));
    const kilobytes = (weigh: (content: Buffer) => number) =>
      (chosen.reduce((sum, { content }) => sum + weigh(content), 0) / 1e3).toFixed(1);
    return [
      what,
      String(chosen.length),
      kilobytes((content) => content.length),
      kilobytes((content) => gzipSync(content, { level: 9 }).length),
      kilobytes((content) => brotliCompressSync(content).length),
    ];
  };
  const script = (name: string) => name.endsWith(".js");
  const style = (name: string) => name.endsWith(".css");
  const font = (name: string) => name.endsWith(".woff2");
  return {
    title: "app: size of the interface",
    notes: ["Aim: less than 300 KB of compressed JavaScript. Fonts are compressed already."],
    columns: ["what", "files", "KB", "KB gzip", "KB brotli"],
    rows: [
      row("JavaScript of the first page", (name) => script(name) && loaded.has(name)),
      row("JavaScript in all", script),
      row("styles of the first page", (name) => style(name) && loaded.has(name)),
      row("styles in all", style),
      row("fonts of the first page", (name) => font(name) && loaded.has(name)),
      row("all that the first page loads", (name) => loaded.has(name)),
    ],
  };
}
