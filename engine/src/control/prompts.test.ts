import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, it } from "node:test";
import type { Prompt, Prompter } from "../upstream/prompter.ts";
import { ControlPrompter } from "./prompts.ts";

const password: Prompt = { kind: "password", upstream: "bastion", user: "deploy", host: "example.com" };
const never = () => new AbortController().signal;

/** Somebody at a terminal, who answers when told to. */
function terminal(): Prompter & {
  present: boolean;
  readonly asked: Prompt[];
  answer: (text: string | undefined) => void;
  withdrawn: number;
} {
  const person = {
    present: true,
    asked: [] as Prompt[],
    withdrawn: 0,
    answer: (text: string | undefined): void => assert.fail(`nothing was asked, and ${text} answered`),
    ask: async (prompt: Prompt, signal: AbortSignal) => {
      person.asked.push(prompt);
      const { promise, resolve } = Promise.withResolvers<string | undefined>();
      person.answer = resolve;
      signal.addEventListener("abort", () => {
        person.withdrawn++;
        resolve(undefined);
      });
      return promise;
    },
  };
  return person;
}

describe("questions for a person", () => {
  it("are declined at once where nobody is there", async () => {
    const prompter = new ControlPrompter();
    assert.equal(prompter.present, false);
    assert.equal(await prompter.ask(password, never()), undefined);
    assert.equal(prompter.pending.length, 0);
  });

  it("wait for a client's answer, and are asked no more then", async () => {
    const prompter = new ControlPrompter();
    const leave = prompter.attend();
    assert.equal(prompter.present, true);
    const answer = prompter.ask(password, never());
    const [asked] = prompter.pending;
    assert.deepEqual(asked?.question, { kind: "password", user: "deploy", host: "example.com" });
    assert.equal(asked.upstream, "bastion");
    assert.equal(prompter.answer(asked.id, "s3cret"), true);
    assert.equal(await answer, "s3cret");
    assert.equal(prompter.pending.length, 0);
    assert.equal(prompter.answer(asked.id, "late"), false);
    leave();
  });

  it("can be declined by a client, and are withdrawn with the connection that they are for", async () => {
    const prompter = new ControlPrompter();
    const leave = prompter.attend();
    const declined = prompter.ask(password, never());
    prompter.answer(prompter.pending[0]!.id, undefined);
    assert.equal(await declined, undefined);
    const abort = new AbortController();
    const withdrawn = prompter.ask(password, abort.signal);
    abort.abort();
    assert.equal(await withdrawn, undefined);
    assert.equal(prompter.pending.length, 0);
    leave();
  });

  it("have a deadline", async () => {
    const prompter = new ControlPrompter({ answerMs: 5 });
    const leave = prompter.attend();
    assert.equal(await prompter.ask(password, never()), undefined);
    leave();
  });

  it("outlive a client that is back soon, and not one that stays away", async () => {
    const prompter = new ControlPrompter({ leftAloneMs: 30 });
    const leave = prompter.attend();
    const answer = prompter.ask(password, never());
    leave();
    leave();
    assert.equal(prompter.pending.length, 1);
    const again = prompter.attend();
    again();
    assert.equal(await answer, undefined);
    assert.equal(prompter.present, false);
  });

  it("are asked at the terminal too, and the first answer withdraws the other question", async () => {
    const person = terminal();
    const prompter = new ControlPrompter({ terminal: person });
    const leave = prompter.attend();
    const first = prompter.ask(password, never());
    assert.equal(prompter.pending.length, 1);
    person.answer("typed");
    assert.equal(await first, "typed");
    assert.equal(prompter.pending.length, 0);
    const second = prompter.ask(password, never());
    prompter.answer(prompter.pending[0]!.id, "clicked");
    assert.equal(await second, "clicked");
    assert.equal(person.withdrawn, 2);
    leave();
  });

  it("are asked at the terminal alone where no client is there, and shown to one that comes", async () => {
    const person = terminal();
    const prompter = new ControlPrompter({ terminal: person, leftAloneMs: 1 });
    assert.equal(prompter.present, true);
    const answer = prompter.ask(password, never());
    const leave = prompter.attend();
    assert.equal(prompter.pending.length, 1);
    leave();
    await once(AbortSignal.timeout(20), "abort");
    person.answer("typed");
    assert.equal(await answer, "typed");
  });

  it("hold a server's words made harmless, and are not kept without end", async () => {
    const prompter = new ControlPrompter();
    const leave = prompter.attend();
    const asked = Array.from({ length: 40 }, () =>
      prompter.ask(
        {
          kind: "keyboard-interactive",
          upstream: "bastion",
          title: "\x1b[2Jx",
          instructions: "",
          prompt: "y".repeat(100_000),
          echo: false,
        },
        never(),
      ),
    );
    assert.equal(prompter.pending.length, 32);
    const { question } = prompter.pending[0]!;
    assert.ok(question.kind === "keyboard-interactive" && question.prompt.length < 3_000);
    assert.equal(question.title, "\\x1b[2Jx");
    prompter.close();
    assert.deepEqual(new Set(await Promise.all(asked)), new Set([undefined]));
    leave();
  });
});
