import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import type { Prompt } from "@sockeye/engine/upstream/prompter";

const hasScript = spawnSync("script", ["--version"]).status === 0;
// `script` of util-linux gives the process a terminal.
const skip = !hasScript && !process.env["CI"] && "script (util-linux) is not installed";

/** Types `keys` once the question stands on the screen, and `more` once it is asked again. */
async function ask(prompt: Prompt, keys: string, more = ""): Promise<{ screen: string; answer: unknown }> {
  const program = `
    import { createTerminalPrompter } from ${JSON.stringify(new URL("./prompt.ts", import.meta.url).href)};
    process.on("SIGINT", () => console.log("INTERRUPTED"));
    const answer = await createTerminalPrompter().ask(${JSON.stringify(prompt)}, new AbortController().signal);
    setTimeout(() => console.log("ANSWER " + Buffer.from(JSON.stringify({ answer })).toString("hex")), 50);`;
  const command = `${process.execPath} --input-type=module -e '${program.replaceAll("'", "'\\''")}'`;
  const child = spawn("script", ["-qec", command, "/dev/null"], { stdio: ["pipe", "pipe", "inherit"] });
  let screen = "";
  let typed = false;
  child.stdout.on("data", (chunk) => {
    screen += String(chunk);
    if (typed && more !== "" && screen.includes('or "no": ')) {
      const again = more;
      more = "";
      setTimeout(() => child.stdin.write(again), 200);
    }
    if (typed || !screen.includes(": ")) return;
    typed = true;
    // After the question comes raw mode; before it the terminal itself would echo.
    setTimeout(() => child.stdin.write(keys), 200);
  });
  await once(child, "close");
  const hex = /ANSWER ([\da-f]+)/.exec(screen)?.[1] ?? "";
  return { screen, answer: (JSON.parse(Buffer.from(hex, "hex").toString()) as { answer?: unknown }).answer };
}

const password: Prompt = { kind: "password", upstream: "production", user: "deploy", host: "bastion" };

test("a password is asked for by name, corrected by backspace, and never shown", { skip }, async () => {
  const { screen, answer } = await ask(password, "s3cret!x\x7f\r");
  assert.equal(answer, "s3cret!");
  assert.match(screen, /production: password for deploy@bastion: /);
  assert.doesNotMatch(screen, /s3c/);
});

test("an answer that was wrong is told before it is asked for again", { skip }, async () => {
  const { screen } = await ask({ ...password, again: true }, "s3cret\r");
  assert.match(screen, /production: the server refused that; once more, please\r?\n.*password for/);
});

test("Ctrl-D declines; Ctrl-C declines and interrupts", { skip }, async () => {
  assert.equal((await ask(password, "abc\x04")).answer, undefined);
  const interrupted = await ask(password, "abc\x03");
  assert.equal(interrupted.answer, undefined);
  assert.match(interrupted.screen, /INTERRUPTED/);
});

test(
  "a server's question is marked as its own, made harmless, and echoed where it asks for that",
  { skip },
  async () => {
    const { screen, answer } = await ask(
      {
        kind: "keyboard-interactive",
        upstream: "production",
        title: "",
        instructions: "\x1b[2Jcode",
        prompt: "Code: ",
        echo: true,
      },
      "12345\r",
    );
    assert.equal(answer, "12345");
    assert.match(screen, /production says: \\x1b\[2Jcode/);
    assert.match(screen, /production asks: Code: 12345/);
  },
);

test("a host key is trusted by a whole yes alone, as in ssh", { skip }, async () => {
  const prompt: Prompt = {
    kind: "host-key",
    upstream: "production",
    host: "bastion:22",
    keyType: "ssh-ed25519",
    fingerprint: "SHA256:abc",
  };
  const trusted = await ask(prompt, "y\r", "yes\r");
  assert.equal(trusted.answer, "yes");
  assert.match(trusted.screen, /production: bastion:22 was never met before.*SHA256:abc \(ssh-ed25519\)/);
  assert.match(trusted.screen, /Please type "yes" or "no": yes/);
  assert.equal((await ask(prompt, "no\r")).answer, "no");
});

test("nobody is asked where there is no terminal", async () => {
  const { createTerminalPrompter } = await import("./prompt.ts");
  const isTTY = process.stdin.isTTY;
  process.stdin.isTTY = false;
  assert.equal(createTerminalPrompter(), undefined);
  process.stdin.isTTY = isTTY;
});
