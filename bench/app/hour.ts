import { setTimeout as sleep } from "node:timers/promises";
import type { EngineStatus, FlowRow, StreamEvent, UpstreamInfo } from "@sockeye/engine/control/contract";
import type { Browser, CDPSession, WebSocketRoute } from "playwright-core";
import type { Rig, Table } from "../bench.ts";
import type { ServedEngine } from "./engine.ts";

const HOUR_S = 3_600;
/** The graph holds five minutes: from then on nothing should grow. */
const FIRST_S = 600;
/** Events that the page is given before it is waited for. */
const AT_ONCE = 20;
const ROWS = 200;

/**
 * What the page holds after an hour's updates: its files are from a real engine; its WebSocket is ours, and speaks the protocol with
 * that engine's own first answers, the counters and flows of which then change each second of a clock that runs as fast as the page reads.
 */
export async function measureHour(rig: Rig, browser: Browser, engine: ServedEngine): Promise<Table> {
  const control = await engine.control();
  const status = await control.call("status", {});
  const upstreams = await control.call("upstreams", {});
  control.close();

  const context = await browser.newContext({ viewport: { width: 1180, height: 760 } });
  const page = await context.newPage();
  const mock = new MockEngine(status, upstreams);
  await page.routeWebSocket(/./, (socket) => mock.attend(socket));
  await page.goto(engine.address);
  await page.evaluate(`location.hash = "#/connections"`);
  await page.locator("[data-index='0']").waitFor();
  const session = await context.newCDPSession(page);
  const rows: string[][] = [];
  const look = async (second: number) => {
    const megabytes = (await heapBytes(session)) / 1e6;
    rig.progress(`after ${second} s of updates: ${megabytes.toFixed(2)} MB`);
    rows.push([String(second), megabytes.toFixed(2)]);
  };
  await look(0);
  for (let second = 1; second <= HOUR_S; second++) {
    mock.tick(second);
    // Two frames: what was sent has been taken and drawn.
    if (second % AT_ONCE === 0) {
      await page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))");
    }
    if (second % FIRST_S === 0) await look(second);
  }
  await context.close();
  return {
    title: "app: memory over an hour of updates",
    notes: [
      `${HOUR_S} events each of state, metrics and connections (${ROWS} rows, all changed) on the page of connections, from a mock engine that speaks the protocol, as fast as the page takes them; the JavaScript heap in use after a collection. The graph's five minutes are full after 300. Aim: no growth after the first ${FIRST_S}.`,
    ],
    columns: ["seconds of updates", "heap MB"],
    rows,
  };
}

async function heapBytes(session: CDPSession): Promise<number> {
  // What is only weakly held goes with the second.
  for (let time = 0; time < 2; time++) {
    await session.send("HeapProfiler.collectGarbage");
    await sleep(100);
  }
  return (await session.send("Runtime.getHeapUsage")).usedSize;
}

interface Request {
  readonly type: "call" | "listen" | "cancel";
  readonly id: number;
  readonly name: string;
}

class MockEngine {
  readonly #status: EngineStatus;
  readonly #upstreams: readonly UpstreamInfo[];
  readonly #streams = new Map<string, number>();
  readonly #began = Date.now() - HOUR_S * 1_000;
  #socket: WebSocketRoute | undefined;
  #second = 0;

  constructor(status: EngineStatus, upstreams: readonly UpstreamInfo[]) {
    this.#status = status;
    this.#upstreams = upstreams;
  }

  attend(socket: WebSocketRoute): void {
    this.#socket = socket;
    this.#streams.clear();
    socket.onMessage((text) => this.#hear(JSON.parse(String(text)) as Request));
  }

  tick(second: number): void {
    this.#second = second;
    for (const name of this.#streams.keys()) this.#tell(name);
  }

  #hear({ type, id, name }: Request): void {
    if (type === "listen") {
      this.#streams.set(name, id);
      this.#tell(name);
    } else if (type === "cancel") {
      for (const [stream, number] of this.#streams) if (number === id) this.#streams.delete(stream);
    } else {
      this.#send({ type: "error", id, error: { code: "unavailable", message: "not kept here" } });
    }
  }

  #tell(name: string): void {
    const id = this.#streams.get(name);
    const event = this.#eventOf(name);
    if (id !== undefined && event !== undefined) this.#send({ type: "event", id, event });
  }

  #eventOf(name: string): object | undefined {
    const at = this.#began + this.#second * 1_000;
    const bytes = this.#second * 100_000;
    switch (name) {
      case "state": {
        const event: StreamEvent<"state"> = {
          status: {
            ...this.#status,
            bytes: { up: bytes, down: 2 * bytes },
            flows: { ...this.#status.flows, active: ROWS, total: ROWS + this.#second },
          },
          upstreams: this.#upstreams.map((one) => ({ ...one, latencyMs: 10 + (this.#second % 50) })),
        };
        return event;
      }
      case "metrics": {
        const event: StreamEvent<"metrics"> = {
          at,
          upstreams: this.#upstreams.map(({ name: upstream }) => ({
            upstream,
            connections: this.#second,
            active: ROWS,
            up: bytes,
            down: 2 * bytes,
            dials: this.#second,
            dialErrors: {},
            dialSeconds: this.#second / 100,
            reconnects: 0,
            connected: true,
          })),
        };
        return event;
      }
      case "flows.view": {
        const rows = Array.from({ length: ROWS }, (_, index) => this.#flow(index, at));
        const event: StreamEvent<"flows.view"> = { rows, offset: 0, total: ROWS };
        return event;
      }
      case "prompts":
        return { pending: [] };
      default:
        return undefined;
    }
  }

  /** Each second one ends and another begins. */
  #flow(index: number, at: number): FlowRow {
    const id = this.#second + index;
    return {
      id,
      inbound: "socks5",
      kind: "tcp",
      source: `127.0.0.1:${20_000 + (id % 30_000)}`,
      target: `host-${id}.example:443`,
      upstream: "office",
      state: "open",
      up: 1_000 * (ROWS - index),
      down: 2_000 * (ROWS - index),
      startedAt: at - 1_000 * (ROWS - index),
      rateUp: 1_000 + (id % 500),
      rateDown: 2_000 + (id % 700),
    };
  }

  #send(message: object): void {
    this.#socket?.send(JSON.stringify(message));
  }
}
