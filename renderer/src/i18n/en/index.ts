import { common } from "./common.ts";
import { home } from "./home.ts";
import { shell } from "./shell.ts";

export const en = { common, home, shell };
