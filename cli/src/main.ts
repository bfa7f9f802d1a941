#!/usr/bin/env node
import "./thread-pool.ts";
import { runCommandLine } from "./command-line.ts";

process.exitCode = await runCommandLine(process.argv.slice(2), () => import("@sockeye/engine/engine"));
