import { common } from "./common.ts";
import { connections } from "./connections.ts";
import { home } from "./home.ts";
import { shell } from "./shell.ts";

export const en = { common, connections, home, shell };
