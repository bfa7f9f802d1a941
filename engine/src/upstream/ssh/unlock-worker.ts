import { parentPort, workerData } from "node:worker_threads";
import { plainKeyText } from "./plain-key.ts";

const { text, passphrase } = workerData as { text: string; passphrase: string };
parentPort?.postMessage(plainKeyText(text, passphrase));
