import { parentPort, workerData } from "node:worker_threads";
import type { HistoryReply, HistoryRequest } from "./history.ts";
import { HistoryStore } from "./history-store.ts";

/** The thread that owns the file: SQLite's calls wait for the disk, and traffic does not wait for SQLite. */
const { file } = workerData as { file: string };
const port = parentPort!;
const reply = (message: HistoryReply): void => port.postMessage(message);

let store: HistoryStore | undefined;
try {
  store = new HistoryStore(file);
  reply({ kind: "open", setAside: store.setAside });
} catch (error) {
  reply({ kind: "failed", message: (error as Error).message });
  port.close();
}

port.on("message", (request: HistoryRequest) => {
  if (store === undefined) return;
  switch (request.kind) {
    case "write":
      try {
        reply({ kind: "written", mine: store.write(request.samples) });
      } catch (error) {
        reply({ kind: "unwritten", message: (error as Error).message });
      }
      return;
    case "query":
      try {
        reply({ kind: "answer", id: request.id, answer: store.query(request.query) });
      } catch (error) {
        reply({ kind: "refusal", id: request.id, message: (error as Error).message });
      }
      return;
    case "close":
      store.close();
      port.close();
  }
});
