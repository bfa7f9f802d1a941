/** What is kept of a process's output. */
const MAX_LINES = 400;
const MAX_LINE = 2_000;

/** The last lines of a stream, for a person to read after something went wrong. */
export class LastLines {
  #lines: string[] = [];

  get text(): string {
    return this.#lines.join("\n");
  }

  readFrom(stream: NodeJS.ReadableStream | null): void {
    let rest = "";
    stream?.setEncoding("utf8");
    stream?.on("data", (text: string) => {
      const lines = (rest + text).split("\n");
      // A line without an end is cut where one with an end would be.
      rest = (lines.pop() ?? "").slice(0, MAX_LINE);
      this.#add(lines);
    });
    stream?.on("end", () => {
      if (rest !== "") this.#add([rest]);
    });
    stream?.on("error", () => {});
  }

  #add(lines: readonly string[]): void {
    this.#lines.push(...lines.map((line) => line.slice(0, MAX_LINE)));
    this.#lines = this.#lines.slice(-MAX_LINES);
  }
}
