import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** Connections to a server that can be cut, made deaf or slow on their way. */
export class Line implements AsyncDisposable {
  readonly #server = createServer();
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  /** One-way, in milliseconds. */
  delayMs = 0;
  /** Accepts, and passes nothing on. */
  deaf = false;
  refusing = false;
  /** The most connections that there were at once. */
  most = 0;

  static async to(port: number): Promise<Line> {
    const line = new Line();
    line.#server.on("connection", (near: Socket) => {
      if (line.refusing) return void near.destroy();
      const far = connect({ port, host: "127.0.0.1" });
      const pair = [near, far] as const;
      line.#pairs.add(pair);
      line.most = Math.max(line.most, line.#pairs.size);
      line.#join(near, far);
      line.#join(far, near);
    });
    line.#server.listen(0, "127.0.0.1");
    await once(line.#server, "listening");
    return line;
  }

  get address(): { control: { host: string; port: number } } {
    return { control: { host: "127.0.0.1", port: (this.#server.address() as AddressInfo).port } };
  }

  get connections(): number {
    return this.#pairs.size;
  }

  /** @param which of the connections, the oldest first; all of them otherwise. */
  cut(which?: readonly number[]): void {
    const pairs = [...this.#pairs];
    for (const [near, far] of which?.map((at) => pairs[at]!) ?? pairs) {
      near.destroy();
      far.destroy();
    }
  }

  /** As a machine that dies does: both ends hear that it is over, and not in good order. */
  reset(): void {
    for (const [near, far] of this.#pairs) {
      near.resetAndDestroy();
      far.resetAndDestroy();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    this.#server.close();
  }

  #join(from: Socket, to: Socket): void {
    from.on("error", () => {});
    from.on("data", (chunk: Buffer) => {
      if (this.deaf) return;
      if (this.delayMs === 0) to.write(chunk);
      else setTimeout(() => to.write(chunk), this.delayMs);
    });
    from.on("close", () => {
      to.destroy();
      for (const pair of this.#pairs) if (pair.includes(from)) this.#pairs.delete(pair);
    });
  }
}
