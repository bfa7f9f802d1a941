#!/usr/bin/env node
// The `showoff` command: the relay.
import { launch } from "./launch.mjs";

await launch("showoff", new URL("../src/showoff/main.ts", import.meta.url));
