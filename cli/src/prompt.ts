import type { Prompt, Prompter } from "@sockeye/engine/upstream/prompter";
import { scrub } from "@sockeye/engine/observe/redact";

/** The longest answer that is read. */
const MAX_ANSWER = 1_024;

/** Asks at the terminal, one question at a time. Undefined where nobody sits at one. */
export function createTerminalPrompter(): Prompter | undefined {
  if (!process.stdin.isTTY || !process.stderr.isTTY) return undefined;
  let asking: Promise<unknown> = Promise.resolve();
  return {
    ask(prompt, signal) {
      const answer = asking.then(() =>
        prompt.kind === "host-key" ? askYesOrNo(prompt, signal) : askOnce(prompt, question(prompt), signal),
      );
      asking = answer.catch(() => {});
      return answer;
    },
  };
}

/** As ssh does: nothing but a whole yes or no is an answer. */
async function askYesOrNo(prompt: Prompt, signal: AbortSignal): Promise<string | undefined> {
  let words = question(prompt);
  for (;;) {
    const answer = (await askOnce(prompt, words, signal))?.trim().toLowerCase();
    if (answer === undefined || answer === "yes" || answer === "no") return answer;
    words = `Please type "yes" or "no": `;
  }
}

function askOnce(prompt: Prompt, words: string, signal: AbortSignal): Promise<string | undefined> {
  if (signal.aborted) return Promise.resolve(undefined);
  const { stdin, stderr } = process;
  stderr.write(words);
  stdin.setRawMode(true);
  stdin.resume();
  return new Promise((resolve) => {
    let answer = "";
    const echo = prompt.kind === "host-key" || (prompt.kind === "keyboard-interactive" && prompt.echo);
    let finished = false;
    const finish = (result: string | undefined) => {
      if (finished) return;
      finished = true;
      stdin.off("data", onData);
      signal.removeEventListener("abort", onAbort);
      stdin.setRawMode(false);
      stdin.pause();
      process.off("SIGINT", onAbort);
      stderr.write("\n");
      resolve(result);
    };
    const onAbort = () => finish(undefined);
    const onData = (data: Buffer) => {
      for (const character of data.toString("utf8")) {
        switch (character) {
          case "\r":
          case "\n":
            finish(answer);
            return;
          case "\x03": // Ctrl-C: raw mode keeps the terminal from sending the signal
            stdin.off("data", onData);
            // Whoever obeys the signal hears it before the answer "none" can pass for a failure.
            if (process.listenerCount("SIGINT") > 0) process.once("SIGINT", onAbort);
            else finish(undefined);
            process.kill(process.pid, "SIGINT");
            return;
          case "\x04": // Ctrl-D
            finish(undefined);
            return;
          case "\x7f":
          case "\b": {
            const letters = Array.from(answer);
            if (letters.pop() !== undefined && echo) stderr.write("\b \b");
            answer = letters.join("");
            break;
          }
          case "\x15": // Ctrl-U
            if (echo) stderr.write("\b \b".repeat(Array.from(answer).length));
            answer = "";
            break;
          default:
            if (character < " " || answer.length >= MAX_ANSWER) break;
            answer += character;
            if (echo) stderr.write(character);
        }
      }
    };
    stdin.on("data", onData);
    signal.addEventListener("abort", onAbort, { once: true });
  });
}

/** What a server says is made harmless: it can't move the cursor or pass for our own words. */
function question(prompt: Prompt): string {
  switch (prompt.kind) {
    case "passphrase":
      return `${again(prompt, "that does not open the key")}${prompt.upstream}: passphrase for ${prompt.file}: `;
    case "password":
      return `${again(prompt, "the server refused that")}${prompt.upstream}: password for ${prompt.user}@${prompt.host}: `;
    case "keyboard-interactive": {
      const said = [prompt.title, prompt.instructions].map(scrub).filter((line) => line.trim() !== "");
      const lines = said.map((line) => `${prompt.upstream} says: ${line}\n`);
      return `${lines.join("")}${prompt.upstream} asks: ${scrub(prompt.prompt).replaceAll("\n", " ")}`;
    }
    case "host-key":
      return (
        `${prompt.upstream}: ${prompt.host} was never met before. Its host key is ${prompt.fingerprint} (${prompt.keyType}).\n` +
        `Trust it, and connect (yes/no)? `
      );
  }
}

function again(prompt: { readonly upstream: string; readonly again?: true }, what: string): string {
  return prompt.again ? `${prompt.upstream}: ${what}; once more, please\n` : "";
}
