#!/usr/bin/env node
import "./thread-pool.ts";
import "@sockeye/engine/short-lives";
import { runCommandLine } from "./command-line.ts";

process.exitCode = await runCommandLine(process.argv.slice(2), () => import("@sockeye/engine/engine"));
