import { parentPort, workerData } from "node:worker_threads";
import { type ImportSource, previewSource } from "./import.ts";
import type { Config } from "../config/config.ts";

const { source, config } = workerData as { source: ImportSource; config: Config };
parentPort?.postMessage(await previewSource(source, config));
