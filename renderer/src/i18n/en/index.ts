import { common } from "./common.ts";
import { connections } from "./connections.ts";
import { failures } from "./failures.ts";
import { firstRun } from "./first-run.ts";
import { helper } from "./helper.ts";
import { home } from "./home.ts";
import { logs } from "./logs.ts";
import { metrics } from "./metrics.ts";
import { prompts } from "./prompts.ts";
import { routes } from "./routes.ts";
import { settings } from "./settings.ts";
import { share } from "./share.ts";
import { shell } from "./shell.ts";
import { upstreams } from "./upstreams.ts";

export const en = {
  common,
  connections,
  failures,
  firstRun,
  helper,
  home,
  logs,
  metrics,
  prompts,
  routes,
  settings,
  share,
  shell,
  upstreams,
};
