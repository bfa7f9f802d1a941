import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parseConfig } from "@sockeye/engine/config/load";

const root = join(import.meta.dirname, "..", "..");

/** Secrets that an example takes from the environment. */
const env = { PROXY_PASSWORD: "password" };

for (const file of ["README.md", ...globSync("docs/tasks/*.md", { cwd: root })]) {
  const text = readFileSync(join(root, file), "utf8");
  const examples = [...text.matchAll(/^```yaml\n(.*?)^```$/gms)].map((match) => match[1]!);
  test(`every example in ${file} is a valid configuration`, () => {
    assert.ok(examples.length > 0, "there is no example");
    for (const example of examples) {
      const result = parseConfig(example, { env, home: "/home/jane" });
      assert.deepEqual("errors" in result ? result.errors : [], [], example);
      assert.deepEqual(result.warnings, [], example);
    }
  });
}

/** Of the helper's program for one system: its lines, and those that are neither empty nor a comment. */
function linesOfHelper(system: "linux" | "macos" | "windows"): { all: number; code: number } {
  const folders = ["", system === "windows" ? "" : "posix/", `${system}/`];
  const files = [
    ...new Set(folders.flatMap((folder) => globSync(`native/helper/${folder}*.{cc,h}`, { cwd: root }))),
  ];
  const texts = files
    .filter((file) => !file.includes("fuzz"))
    .map((file) => readFileSync(join(root, file), "utf8"));
  const lines = texts.flatMap((text) => text.trimEnd().split("\n"));
  const code = texts
    .flatMap((text) => text.replace(/\/\*[^]*?\*\//g, "").split("\n"))
    .filter((line) => line.trim() !== "" && !line.trim().startsWith("//"));
  return { all: lines.length, code: code.length };
}

test("the documents say truly how many lines have privileges", () => {
  const number = (text: string) => Number(text.replace(",", ""));
  const isAbout = (said: number, counted: number, what: string) =>
    assert.ok(Math.abs(said - counted) <= 20, `${what}: ${said} are said, ${counted} counted`);
  const [linux, macos, windows] = (["linux", "macos", "windows"] as const).map(linesOfHelper);
  const readme = /on Linux about ([\d,]+) lines, ([\d,]+) without comments/.exec(
    readFileSync(join(root, "README.md"), "utf8"),
  )!;
  isAbout(number(readme[1]!), linux!.all, "README.md, Linux");
  isAbout(number(readme[2]!), linux!.code, "README.md, Linux without comments");
  const security =
    /about ([\d,]+) lines with its comments for Linux \(([\d,]+) without\), ([\d,]+) for macOS and ([\d,]+) for Windows/.exec(
      readFileSync(join(root, "docs/security.md"), "utf8").replaceAll("\n", " "),
    )!;
  isAbout(number(security[1]!), linux!.all, "security.md, Linux");
  isAbout(number(security[2]!), linux!.code, "security.md, Linux without comments");
  isAbout(number(security[3]!), macos!.all, "security.md, macOS");
  isAbout(number(security[4]!), windows!.all, "security.md, Windows");
});
