/** The upstreams that a host starts to try things out with, in somebody's configuration. */
import { basename, dirname } from "node:path";
import type { Secret, UpstreamConfig } from "../config/config.ts";
import type { CallResult, ControlEdit } from "./contract.ts";
import { ControlError } from "./control-error.ts";
import { readConfigText } from "./config-file.ts";
import { configFile, edited, writeDocument } from "./document.ts";
import type { ControlHost } from "./host.ts";

/** How the folders begin in which their passwords are. It tells them from upstreams that only have such a name. */
export const DEMO_FOLDER = "sockeye-demo-";
const DEMO_NAME = "demo-";
const ATTEMPTS = 3;

/** Where they were added before, by an engine that has ended since, they are told where the servers are now. */
export async function addDemo(host: ControlHost): Promise<CallResult<"demo.add">> {
  const { text, revision } = await readConfigText(configFile(host));
  const { problems } = host.checkConfig(text);
  if (problems.length > 0) {
    throw new ControlError("invalid-config", "the configuration has problems, which come first", {
      problems,
    });
  }
  const { upstreams, routes } = await host.demo();
  // So that what runs is what was read; where that is another by now, the write is refused.
  await host.reload();
  const present = host.config();
  const edits: ControlEdit[] = Object.entries(upstreams).map(([name, upstream]) => ({
    kind: "set-upstream",
    name,
    upstream,
  }));
  const added = routes.filter(({ match, to }) => {
    return !present.routes.some((route) => route.match === match && route.to === to);
  });
  // Before the others, or one of those could take what is the demo's.
  if (added.length > 0) edits.push({ kind: "set-routes", routes: [...added, ...present.routes] });
  await writeDocument(host, edited(text, edits), revision);
  return { added: Object.keys(upstreams).filter((name) => !Object.hasOwn(present.upstreams, name)) };
}

/** Those of a configuration whose servers were in a process that has ended. */
export function demoUpstreamsIn(upstreams: Readonly<Record<string, UpstreamConfig>>): string[] {
  return Object.entries(upstreams).flatMap(([name, upstream]) => {
    const secret = upstream.type === "ssh" ? upstream.password : upstream.auth?.password;
    return name.startsWith(DEMO_NAME) && isDemoSecret(secret) ? [name] : [];
  });
}

function isDemoSecret(secret: Secret | undefined): boolean {
  if (secret === undefined || !("file" in secret)) return false;
  return basename(dirname(secret.file)).startsWith(DEMO_FOLDER);
}

/**
 * Starts the servers again that the configuration still refers to, and writes where they are now. Whatever else a person has
 * changed in these upstreams stays.
 * @returns the names.
 * @throws {ControlError}
 */
export async function restoreDemo(host: ControlHost, names: readonly string[]): Promise<readonly string[]> {
  const { upstreams } = await host.demo();
  const edits = names.flatMap((name): ControlEdit[] => {
    const upstream = upstreams[name];
    return upstream ? [{ kind: "set-upstream", name, upstream }] : [];
  });
  for (let attempt = 1; ; attempt++) {
    const { text, revision } = await readConfigText(configFile(host));
    try {
      await writeDocument(host, edited(text, edits), revision);
      return names;
    } catch (error) {
      const wasInUse = error instanceof ControlError && error.code === "conflict";
      if (!wasInUse || attempt === ATTEMPTS) throw error;
    }
  }
}
