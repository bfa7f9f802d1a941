import { common } from "./common.ts";
import { connections } from "./connections.ts";
import { helper } from "./helper.ts";
import { home } from "./home.ts";
import { logs } from "./logs.ts";
import { metrics } from "./metrics.ts";
import { routes } from "./routes.ts";
import { settings } from "./settings.ts";
import { shell } from "./shell.ts";

export const en = { common, connections, helper, home, logs, metrics, routes, settings, shell };
