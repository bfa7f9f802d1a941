import { parentPort, workerData } from "node:worker_threads";
import { type ParseOptions, parseConfig } from "./load.ts";

const { text, options } = workerData as { text: string; options: ParseOptions };
parentPort?.postMessage(parseConfig(text, options));
