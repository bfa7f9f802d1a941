import { common } from "./common.ts";
import { firstRun } from "./first-run.ts";
import { home } from "./home.ts";
import { prompts } from "./prompts.ts";
import { shell } from "./shell.ts";
import { upstreams } from "./upstreams.ts";

export const de = { common, firstRun, home, prompts, shell, upstreams };
