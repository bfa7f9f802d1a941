import { existsSync, readFileSync } from "node:fs";
import { chmod, cp, mkdir, symlink } from "node:fs/promises";
import { basename, dirname, join, matchesGlob } from "node:path";

/*
 * The relay's image without Docker: what its Dockerfile copies, in a folder. The Dockerfile's own instructions are read, so that a
 * file that it forgets is missing here, too.
 */

const ROOT = join(import.meta.dirname, "..", "..");
export const DOCKERFILE = join(ROOT, "deploy", "Dockerfile");

interface Instruction {
  readonly keyword: string;
  readonly words: readonly string[];
}

/** Makes `folder` what the image has at /app. */
export async function makeImage(folder: string): Promise<void> {
  const stages = readStages();
  const [build, last] = [stages.at(0), stages.at(-1)];
  if (build === undefined || last === undefined || build === last) throw new Error("not of two stages");
  const ignored = readIgnored();
  for (const { words } of last.filter(({ keyword }) => keyword === "COPY")) {
    const sources = words.filter((word) => !word.startsWith("--")).slice(0, -1);
    const into = words.at(-1)!;
    if (words.some((word) => word.startsWith("--from="))) await copyDependencies(workspacesOf(build), folder);
    else for (const source of sources) await copyIn(source, join(folder, placeOf(source, into)), ignored);
  }
  await chmod(folder, 0o755);
}

/** The last stage's words after an instruction, e.g. of ENTRYPOINT. */
export function lastOf(keyword: string): string {
  return (
    readStages()
      .at(-1)!
      .findLast((one) => one.keyword === keyword)
      ?.words.join(" ") ?? ""
  );
}

function readStages(): Instruction[][] {
  const stages: Instruction[][] = [];
  const text = readFileSync(DOCKERFILE, "utf8").replace(/^\s*#.*\n/gm, "");
  for (const line of text.replaceAll("\\\n", " ").split("\n")) {
    const [keyword = "", ...words] = line.trim().split(/\s+/);
    if (keyword === "FROM") stages.push([]);
    stages.at(-1)?.push({ keyword, words });
  }
  return stages;
}

/** COPY's rule: a target that ends in a slash is a folder for files; a folder's own contents are copied. */
function placeOf(source: string, target: string): string {
  return target.endsWith("/") ? join(target, basename(source)) : target;
}

async function copyIn(source: string, to: string, ignored: (path: string) => boolean): Promise<void> {
  if (ignored(source)) throw new Error(`${source} is copied, and Dockerfile.dockerignore leaves it out`);
  await mkdir(dirname(to), { recursive: true });
  await cp(join(ROOT, source), to, {
    recursive: true,
    filter: (from) => !ignored(from.slice(ROOT.length + 1)),
  });
}

/** Everything is left out but what the file names, and of that what it names by `**`. */
function readIgnored(): (path: string) => boolean {
  const lines = readFileSync(`${DOCKERFILE}.dockerignore`, "utf8").split("\n").filter(Boolean);
  const wanted = lines.filter((line) => line.startsWith("!")).map((line) => line.slice(1));
  const unwanted = lines.filter((line) => line.startsWith("**/"));
  return (path) =>
    !wanted.some((one) => path === one || path.startsWith(`${one}/`)) ||
    unwanted.some((pattern) => matchesGlob(path, pattern));
}

/** Those whose dependencies the build stage installs. */
function workspacesOf(build: readonly Instruction[]): string[] {
  const words = build.find(({ keyword, words }) => keyword === "RUN" && words.includes("ci"))?.words ?? [];
  return words.filter((_, at) => words[at - 1] === "--workspace");
}

interface PackageFile {
  readonly dependencies?: Readonly<Record<string, string>>;
}

/** As `npm ci --omit=dev --omit=optional` lays them out: each package at the place that it has here, and links to the workspaces. */
async function copyDependencies(workspaces: readonly string[], folder: string): Promise<void> {
  const places = new Set<string>();
  const visit = (place: string): void => {
    const { dependencies = {} } = JSON.parse(
      readFileSync(join(ROOT, place, "package.json"), "utf8"),
    ) as PackageFile;
    for (const name of Object.keys(dependencies)) {
      const found = placeOfPackage(place, name);
      if (places.has(found)) continue;
      places.add(found);
      visit(found);
    }
  };
  for (const workspace of workspaces) visit(workspace);
  for (const place of places) {
    const from = join(ROOT, place);
    const nested = join(from, "node_modules");
    await cp(from, join(folder, place), { recursive: true, filter: (path) => path !== nested });
  }
  await mkdir(join(folder, "node_modules", "@sockeye"), { recursive: true });
  for (const workspace of workspaces)
    await symlink(join("..", "..", workspace), join(folder, "node_modules", "@sockeye", workspace));
}

/** The nearest node_modules that has it, on the way up, as Node looks for it. */
function placeOfPackage(from: string, name: string): string {
  for (let at = from; ; at = dirname(at)) {
    const place = join(at, "node_modules", name);
    if (existsSync(join(ROOT, place, "package.json"))) return place;
    if (at === ".") throw new Error(`${name}, which ${from} depends on, is not installed`);
  }
}
