import { common } from "./common.ts";
import { connections } from "./connections.ts";
import { home } from "./home.ts";
import { logs } from "./logs.ts";
import { metrics } from "./metrics.ts";
import { routes } from "./routes.ts";
import { shell } from "./shell.ts";

export const de = { common, connections, home, logs, metrics, routes, shell };
