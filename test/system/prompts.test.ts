import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { ControlClient } from "@sockeye/engine/control/client";
import type { PendingPrompt, TestEvent } from "@sockeye/engine/control/contract";
import { startEcho, type TcpPeer } from "../peers/echo.ts";
import { skipWithoutSshd, skipWithoutUsers, type Sshd, startSshd } from "../peers/sshd.ts";
import { connectThrough } from "./client.ts";
import { type EngineUnderTest, startEngineUnderTest } from "./engine-under-test.ts";

/** A person at the interface: answers each question by its kind, and keeps what was asked. */
function attend(
  client: ControlClient,
  answers: Partial<Record<PendingPrompt["question"]["kind"], string | null>>,
): { readonly asked: PendingPrompt[]; leave: () => void; readonly there: Promise<unknown> } {
  const asked: PendingPrompt[] = [];
  const { promise: there, resolve } = Promise.withResolvers<undefined>();
  const leave = client.listen(
    "prompts",
    {},
    {
      onEvent: ({ pending }) => {
        resolve(undefined);
        for (const prompt of pending) {
          if (asked.some(({ id }) => id === prompt.id)) continue;
          asked.push(prompt);
          const answer = answers[prompt.question.kind] ?? null;
          void client.call("prompt.answer", { id: prompt.id, answer });
        }
      },
    },
  );
  return { asked, leave, there };
}

/** The outcome of an upstream's test over the contract. */
function testOf(client: ControlClient, name: string): Promise<Extract<TestEvent, { kind: "done" }>> {
  return new Promise((resolve, reject) => {
    client.listen(
      "upstream.test",
      { name },
      {
        onEvent: (event) => {
          if (event.kind === "done") resolve(event);
        },
        onError: reject,
      },
    );
  });
}

describe("questions over the control contract", { skip: skipWithoutSshd() }, () => {
  let sshd: Sshd;
  let echo: TcpPeer;
  before(async () => {
    sshd = await startSshd({ hostKeys: ["ed25519"] });
    echo = await startEcho();
  });
  after(async () => {
    await sshd.stop();
    await echo.stop();
  });

  const bastion = (changes: object = {}) => ({
    type: "ssh",
    address: `127.0.0.1:${sshd.port}`,
    user: sshd.user,
    identity_file: sshd.identityFile,
    known_hosts_file: "/nonexistent/known_hosts",
    ssh_config: false,
    agent: false,
    ...changes,
  });
  const engineWith = (changes: object = {}) =>
    startEngineUnderTest({ upstreams: { bastion: bastion(changes) }, default: "bastion" });
  const trusted = (sut: EngineUnderTest) =>
    readFile(join(dirname(sut.configFile), "sockeye", "known_hosts"), "utf8").catch(() => "");

  it("a host never seen is trusted by a person's yes, once for all flows, and remembered", async () => {
    await using sut = await engineWith({ pool_size: 2 });
    const client = await sut.control();
    const person = attend(client, { "host-key": "yes" });
    await person.there;
    const sockets = await Promise.all([1, 2, 3].map(() => connectThrough("socks5", sut.socks5, echo)));
    for (const socket of sockets) socket.destroy();
    assert.equal(person.asked.length, 1);
    const { upstream, question } = person.asked[0]!;
    assert.equal(upstream, "bastion");
    assert.ok(question.kind === "host-key" && question.keyType === "ssh-ed25519");
    assert.equal(question.host, `127.0.0.1:${sshd.port}`);
    assert.match(question.fingerprint, /^SHA256:[\w+/]{43}$/);
    assert.match(await trusted(sut), new RegExp(`^\\[127\\.0\\.0\\.1\\]:${sshd.port} ssh-ed25519 `));
    person.leave();
  });

  it("a person's no refuses it, and nothing is remembered", async () => {
    await using sut = await engineWith();
    const client = await sut.control();
    const person = attend(client, { "host-key": null });
    await person.there;
    const { ok, failure } = await testOf(client, "bastion");
    assert.equal(ok, false);
    assert.deepEqual([failure?.step, failure?.code], ["host-key", "host-key"]);
    assert.match(failure?.message ?? "", /nobody said that it is to be trusted/);
    assert.equal(await trusted(sut), "");
    person.leave();
  });

  it("where nobody listens, a host never seen is trusted as ever, and refused with host_key_check ask", async () => {
    await using asking = await engineWith({ host_key_check: "ask" });
    const refused = await testOf(await asking.control(), "bastion");
    assert.match(refused.failure?.message ?? "", /nobody is there to ask/);
    await using sut = await engineWith();
    const { ok, notes } = await testOf(await sut.control(), "bastion");
    assert.equal(ok, true);
    assert.match(notes?.join() ?? "", /met for the first time/);
  });

  it("a key's passphrase is asked for, and a slip is asked again", async () => {
    await using sut = await engineWith({
      identity_file: sshd.encryptedIdentityFile,
      known_hosts_file: sshd.knownHostsFile,
    });
    const client = await sut.control();
    const answers = { passphrase: "wrong" };
    const person = attend(client, answers);
    await person.there;
    const testing = testOf(client, "bastion");
    const slip = await testing;
    assert.equal(slip.ok, false);
    assert.deepEqual(
      person.asked.map(({ question }) => question.kind === "passphrase" && question.again),
      [undefined, true, true],
    );
    answers.passphrase = sshd.passphrase;
    assert.equal((await testOf(client, "bastion")).ok, true);
    assert.deepEqual(person.asked.at(-1)?.question, {
      kind: "passphrase",
      file: sshd.encryptedIdentityFile,
    });
    person.leave();
  });

  it("the limits of a test and of a connection stand still while a person thinks", async () => {
    await using sut = await startEngineUnderTest({
      upstreams: { bastion: bastion() },
      limits: { connect_timeout: 0.5 },
    });
    const client = await sut.control();
    const { promise: asked, resolve } = Promise.withResolvers<PendingPrompt>();
    const leave = client.listen(
      "prompts",
      {},
      { onEvent: ({ pending }) => pending[0] && resolve(pending[0]) },
    );
    const { promise: outcome, resolve: end } = Promise.withResolvers<TestEvent>();
    client.listen(
      "upstream.test",
      { name: "bastion", timeoutMs: 700 },
      { onEvent: (event) => event.kind === "done" && end(event) },
    );
    const { id } = await asked;
    await new Promise((wake) => setTimeout(wake, 1_000));
    assert.deepEqual(await client.call("prompt.answer", { id, answer: "yes" }), { taken: true });
    const done = await outcome;
    assert.ok(done.kind === "done" && done.ok, JSON.stringify(done));
    assert.deepEqual(await client.call("prompt.answer", { id, answer: "yes" }), { taken: false });
    leave();
  });

  describe("keyboard-interactive", { skip: skipWithoutUsers() }, () => {
    let interactive: Sshd;
    before(async () => {
      interactive = await startSshd({ hostKeys: ["ed25519"], password: "s3cret", keyboardInteractive: true });
    });
    after(() => interactive.stop());

    it("is answered through the contract, in the server's words", async () => {
      await using sut = await startEngineUnderTest({
        upstreams: {
          it: bastion({
            address: `127.0.0.1:${interactive.port}`,
            user: interactive.user,
            identity_file: "/nonexistent/id",
            known_hosts_file: interactive.knownHostsFile,
          }),
        },
        default: "it",
      });
      const client = await sut.control();
      const person = attend(client, { "keyboard-interactive": "s3cret" });
      await person.there;
      (await connectThrough("http", sut.http, echo)).destroy();
      const { question } = person.asked[0]!;
      assert.ok(question.kind === "keyboard-interactive" && /password/i.test(question.prompt));
      assert.equal(question.echo, false);
      person.leave();
    });
  });
});
