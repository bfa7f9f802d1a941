import { common } from "./common.ts";
import { connections } from "./connections.ts";
import { firstRun } from "./first-run.ts";
import { home } from "./home.ts";
import { logs } from "./logs.ts";
import { prompts } from "./prompts.ts";
import { routes } from "./routes.ts";
import { shell } from "./shell.ts";
import { upstreams } from "./upstreams.ts";

export const de = { common, connections, firstRun, home, logs, prompts, routes, shell, upstreams };
