#!/usr/bin/env node
// The `sockeye` command.
import { launch } from "./launch.mjs";

await launch("sockeye", new URL("../src/main.ts", import.meta.url));
