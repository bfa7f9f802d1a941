/** What the SSH upstream says, asks and logs: through real servers, in the words that a person reads. */
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { DialError } from "@sockeye/engine";
import type { Prompt, Prompter } from "@sockeye/engine/upstream/prompter";
import { startTcpServer } from "../peers/echo.ts";
import { soon, until } from "../peers/exercise.ts";
import { skipWithoutSshd, skipWithoutUsers, startSshd, type Sshd } from "../peers/sshd.ts";
import {
  echo,
  exchange,
  startTarget,
  upstreamFor,
  type Target,
  type TestUpstream,
} from "../peers/ssh-upstream.ts";
import { httpTo, recordLog, socks5To } from "../peers/upstreams.ts";

const noKey = { identity_file: ["/nonexistent/id"] };

describe("an SSH upstream", { skip: skipWithoutSshd() }, () => {
  let sshd: Sshd;
  let target: Target;
  before(async () => {
    [sshd, target] = await Promise.all([startSshd(), startTarget(echo)]);
  });
  after(async () => {
    await target[Symbol.asyncDispose]();
    await sshd.stop();
  });

  async function refusal({ dial }: Pick<TestUpstream, "dial">): Promise<DialError> {
    try {
      (await dial(target.endpoint)).destroy();
    } catch (error) {
      return error as DialError;
    }
    return assert.fail("the dial was expected to fail");
  }

  test("is named in its own failures, and so is each link of a chain, once", async () => {
    await using inner = upstreamFor(sshd, { name: "badpw", config: noKey });
    assert.match((await refusal(inner)).message, /^upstream badpw: 127\.0\.0\.1:\d+ did not accept/);
    await using outer = upstreamFor(sshd, { name: "viabad", via: inner.upstream });
    const { message, scope, code } = await refusal(outer);
    assert.equal(`${code} ${scope}`, "auth upstream");
    assert.match(
      message,
      /^upstream viabad: no connection to 127\.0\.0\.1:\d+: upstream badpw: 127\.0\.0\.1:\d+ did not accept/,
    );
    const tested = await outer.upstream.test({ signal: soon() });
    assert.match(tested.failure!.message, /upstream badpw: 127\.0\.0\.1:\d+ did not accept/);
    for (const make of [httpTo, socks5To]) {
      const proxy = make({ host: sshd.host, port: sshd.port }, { name: "overbad", via: inner.upstream });
      const failed = await refusal({ dial: async (to) => proxy.dial(to, { signal: soon() }) });
      assert.match(failed.message, /^upstream overbad: upstream badpw: 127\.0\.0\.1:\d+ did not accept/);
      await proxy.close(0);
    }
  });

  test("says what answered instead of an SSH server", async () => {
    const web = await startTcpServer((socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n<html>"));
    await using bastion = upstreamFor(sshd, { config: { address: `127.0.0.1:${web.port}` } });
    const error = await refusal(bastion);
    assert.equal(error.code, "protocol");
    assert.match(error.message, /does not speak SSH: it says "HTTP\/1\.1 400 Bad Request"$/);
    await web.stop();
  });

  test("says what a server would take where nothing is in common, and that one takes nobody for now", async () => {
    await using old = await startSshd({ config: ["Ciphers aes256-cbc,aes128-cbc"], hostKeys: ["ed25519"] });
    await using bastion = upstreamFor(old);
    const error = await refusal(bastion);
    assert.equal(error.code, "protocol");
    assert.match(error.message, /no cipher in common; the server takes aes256-cbc, aes128-cbc$/);

    const full = await startTcpServer((socket) => socket.end("Exceeded MaxStartups\r\n"));
    await using crowded = upstreamFor(sshd, { config: { address: `127.0.0.1:${full.port}` } });
    const refused = await refusal(crowded);
    assert.equal(refused.code, "limit");
    assert.match(refused.message, /turns connections away for now: it says "Exceeded MaxStartups"$/);
    await full.stop();
  });

  test("says of a host first met what was trusted: in the log, and in a test's notes", async () => {
    const trustStorePath = join(sshd.directory, "words", "trusted");
    const log = recordLog();
    const config = { known_hosts_file: [] };
    await using bastion = upstreamFor(sshd, { config, trustStorePath, log });
    const { ok, notes } = await bastion.upstream.test({ signal: soon() });
    assert.equal(ok, true);
    assert.match(
      notes!.join(),
      /met for the first time: its host key SHA256:\S{43} \(ssh-ed25519\) is now trusted/,
    );
    assert.deepEqual(
      log.of("info"),
      notes!.map((note) => `info ${note}`),
    );
    const [fields] = log.fields;
    assert.deepEqual(Object.keys(fields!).toSorted(), ["fingerprint", "host", "key_type", "upstream"]);
    assert.equal(fields!["upstream"], "bastion");
    assert.equal((await bastion.upstream.test({ signal: soon() })).notes, undefined);
  });

  test("warns once where a certificate authority is on file and the plain key is trusted", async () => {
    const authority = (await readFile(sshd.knownHostsFile, "utf8"))
      .split("\n")
      .find((line) => line.includes("ssh-rsa"));
    const file = join(sshd.directory, "authority");
    await writeFile(file, `@cert-authority ${authority}\n`);
    const log = recordLog();
    const trustStorePath = join(sshd.directory, "authority_trusted");
    for (let times = 0; times < 2; times++) {
      await using bastion = upstreamFor(sshd, { config: { known_hosts_file: [file] }, trustStorePath, log });
      assert.equal(await exchange(await bastion.dial(target.endpoint)), "ping");
    }
    assert.equal(log.of("warn").length, 1);
    assert.match(log.of("warn")[0]!, /authority line 1 names a certificate authority .* not supported/);
  });

  test("does not say that no password is configured when the one that is can't be read", async () => {
    const readSecret = async (): Promise<string> => Promise.reject(new Error("/run/secret is not there"));
    const config = { ...noKey, password: { text: "" } };
    const options = ["PasswordAuthentication yes", "KbdInteractiveAuthentication yes"];
    await using open = await startSshd({ hostKeys: ["ed25519"], config: options });
    await using bastion = upstreamFor(open, { config, readSecret });
    const { message } = await refusal(bastion);
    assert.equal(message.split("/run/secret is not there").length, 2, message);
    assert.doesNotMatch(message, /none is configured|no password is configured|nobody to ask/);
    const locked = { identity_file: [sshd.encryptedIdentityFile], passphrase: { text: "" } };
    await using other = upstreamFor(sshd, { config: locked, readSecret });
    const said = (await refusal(other)).message;
    assert.match(said, /the passphrase of .* \(\/run\/secret is not there\)/);
    assert.doesNotMatch(said, /nobody to ask/);
  });

  test("says why a public key, a missing one and one with a certificate are of no use", async () => {
    const onlyPublic = { identity_file: [`${sshd.identityFile}.pub`] };
    await using publicKey = upstreamFor(sshd, { config: onlyPublic });
    assert.match(
      (await refusal(publicKey)).message,
      /\.pub \(it is a public key, and no agent holds the private/,
    );

    const home = process.env["HOME"];
    process.env["HOME"] = join(sshd.directory, "empty");
    try {
      await using keyless = upstreamFor(sshd, { config: { identity_file: [] } });
      assert.match(
        (await refusal(keyless)).message,
        /publickey \(there is no agent, and none of .*id_ed25519, /,
      );
    } finally {
      if (home === undefined) delete process.env["HOME"];
      else process.env["HOME"] = home;
    }

    const key = join(sshd.directory, "certified");
    const { privateKey } = generateKeyPairSync("ed25519");
    await writeFile(key, privateKey.export({ type: "pkcs8", format: "pem" }));
    await writeFile(`${key}-cert.pub`, "");
    await using certified = upstreamFor(sshd, { config: { identity_file: [key] } });
    assert.match(
      (await refusal(certified)).message,
      /tried \S+certified;.*certified-cert\.pub \(certificates are not/,
    );
  });

  test("says how to choose among an agent's keys where the server has enough of them", async () => {
    const agent = join(sshd.directory, "agent.sock");
    const agentProcess = spawn("ssh-agent", ["-D", "-a", agent], { stdio: "ignore" });
    try {
      await until(() => existsSync(agent), "the agent is there", 5000);
      const keys = ["stranger_1", "stranger_2", "stranger_3"].map((name) => join(sshd.directory, name));
      for (const key of keys) {
        execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", key]);
        execFileSync("ssh-add", ["-q", key], {
          env: { ...process.env, SSH_AUTH_SOCK: agent },
          stdio: "ignore",
        });
      }
      await using impatient = await startSshd({ hostKeys: ["ed25519"], config: ["MaxAuthTries 2"] });
      await using bastion = upstreamFor(impatient, { config: { agent } });
      const { message, code } = await refusal(bastion);
      assert.equal(code, "auth");
      assert.match(
        message,
        /tried agent \(3 keys\);.*Too many authentication failures; identity_file says which/,
      );
    } finally {
      agentProcess.kill();
    }
  });

  test("asks for a passphrase up to three times", async () => {
    const config = { identity_file: [sshd.encryptedIdentityFile] };
    const prompter = (...answers: string[]) => {
      let asked = 0;
      return { ask: async () => answers[asked++], asked: () => asked };
    };
    const slips = prompter("wrong", "wrng", sshd.passphrase);
    await using bastion = upstreamFor(sshd, { config, prompter: slips });
    assert.equal(await exchange(await bastion.dial(target.endpoint)), "ping");
    assert.equal(slips.asked(), 3);
    const stranger = prompter("a", "b", "c", sshd.passphrase);
    await using other = upstreamFor(sshd, { config, prompter: stranger });
    assert.match((await refusal(other)).message, /a wrong passphrase was given, 3 times/);
    assert.equal(stranger.asked(), 3);
  });

  test("a connection that comes and goes is told by its loss alone, and the same failure once", async () => {
    await using fragile = await startSshd({ hostKeys: ["ed25519"] });
    const log = recordLog();
    await using bastion = upstreamFor(fragile, { log });
    await exchange(await bastion.dial(target.endpoint));
    assert.deepEqual(log.of("info"), []);
    await fragile.rotateHostKeys();
    await fragile.restart();
    await until(() => log.of("warn").length === 1, "the changed key is told", 5000);
    assert.match(log.of("warn")[0]!, /has changed/);
    assert.equal(log.of("info").length, 1, log.lines.join("\n"));
    const connections = log.lines.length;
    await sleep(1500);
    assert.equal(log.lines.length, connections, "nobody tries again unasked");
    assert.equal((await refusal(bastion)).code, "host-key");
    assert.equal(log.of("warn").length, 1, log.lines.join("\n"));
  });

  describe("that asks a person for a password", { skip: skipWithoutUsers() }, () => {
    let withPassword: Sshd;
    before(async () => {
      withPassword = await startSshd({ password: "s3cret", hostKeys: ["ed25519"] });
    });
    after(() => withPassword.stop());

    /** Answers after a moment, and knows whether two questions were open at once. */
    function slowPerson(
      answer: string,
    ): Prompter & { readonly asked: Prompt[]; readonly most: () => number } {
      const asked: Prompt[] = [];
      let open = 0;
      let most = 0;
      return {
        asked,
        most: () => most,
        ask: async (prompt) => {
          asked.push(prompt);
          most = Math.max(most, ++open);
          await sleep(300);
          open--;
          return answer;
        },
      };
    }

    test("asks once for connections that start together", async () => {
      const prompter = slowPerson("s3cret");
      await using bastion = upstreamFor(withPassword, { config: noKey, prompter });
      const [stream, first, second] = await Promise.all([
        bastion.dial(target.endpoint),
        bastion.upstream.test({ signal: soon() }),
        bastion.upstream.test({ signal: soon() }),
      ]);
      assert.equal(await exchange(stream), "ping");
      assert.deepEqual([first.ok, second.ok], [true, true]);
      assert.equal(prompter.asked.length, 1);
    });

    test("asks again for who still waits when the connection that had asked is given up", async () => {
      const prompter = slowPerson("s3cret");
      const leaving: Prompter = {
        ask: async (prompt, signal) => {
          const answer = await prompter.ask(prompt, signal);
          return signal.aborted ? undefined : answer;
        },
      };
      await using bastion = upstreamFor(withPassword, { config: noKey, prompter: leaving });
      const gone = new AbortController();
      const left = bastion.upstream.test({ signal: gone.signal });
      await until(() => prompter.asked.length === 1, "the first asks", 5000);
      const staying = bastion.upstream.test({ signal: soon() });
      await sleep(150);
      gone.abort();
      assert.equal((await left).ok, false);
      assert.equal((await staying).ok, true);
      assert.equal(prompter.asked.length, 2);
    });

    test("asks anew after a wrong answer, one question at a time", async () => {
      const prompter = slowPerson("wrong");
      await using bastion = upstreamFor(withPassword, { config: noKey, prompter });
      for (let times = 1; times <= 2; times++) {
        const results = await Promise.all([1, 2].map(async () => bastion.upstream.test({ signal: soon() })));
        assert.deepEqual(
          results.map(({ failure }) => failure?.code),
          ["auth", "auth"],
        );
      }
      assert.ok(prompter.asked.length >= 2);
      assert.equal(prompter.most(), 1);
    });
  });
});
