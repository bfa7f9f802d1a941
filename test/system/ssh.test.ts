import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import type { DialError, DialStep } from "@sockeye/engine";
import { skipWithoutSshd, skipWithoutUsers, startSshAgent, startSshd, type Sshd } from "../peers/sshd.ts";
import {
  answering,
  echo,
  exchange,
  readAll,
  sha256,
  startTarget,
  upstreamFor,
  type Target,
  type UpstreamOverrides,
} from "../peers/ssh-upstream.ts";

const run = promisify(execFile);

/** Dials, exchanges a word, and closes. */
async function reach(sshd: Sshd, target: Target, overrides: UpstreamOverrides = {}): Promise<string> {
  await using bastion = upstreamFor(sshd, overrides);
  return await exchange(await bastion.dial(target.endpoint));
}

/** The error that the first dial ends with. */
async function refusal(sshd: Sshd, target: Target, overrides: UpstreamOverrides = {}): Promise<DialError> {
  await using bastion = upstreamFor(sshd, overrides);
  try {
    (await bastion.dial(target.endpoint)).destroy();
  } catch (error) {
    return error as DialError;
  }
  throw new Error("the dial was expected to fail");
}

describe("through a real sshd", { skip: skipWithoutSshd() }, () => {
  let sshd: Sshd;
  let target: Target;
  before(async () => {
    [sshd, target] = await Promise.all([startSshd(), startTarget(echo)]);
  });
  after(async () => {
    await target[Symbol.asyncDispose]();
    await sshd.stop();
  });

  describe("who we are", () => {
    test("a key without a passphrase opens the door", async () => {
      assert.equal(await reach(sshd, target), "ping");
    });

    test("an RSA key signs with SHA-2, for OpenSSH takes nothing else", async () => {
      assert.equal(await reach(sshd, target, { config: { identity_file: [sshd.rsaIdentityFile] } }), "ping");
    });

    test("a key with a passphrase takes it from the configuration", async () => {
      const config = {
        identity_file: [sshd.encryptedIdentityFile],
        passphrase: { text: sshd.passphrase },
      };
      assert.equal(await reach(sshd, target, { config }), "ping");
    });

    test("a passphrase is asked for once, and remembered when the connection is made again", async () => {
      const prompter = answering(sshd.passphrase);
      await using bastion = upstreamFor(sshd, {
        config: { identity_file: [sshd.encryptedIdentityFile] },
        prompter,
      });
      assert.equal(await exchange(await bastion.dial(target.endpoint)), "ping");
      sshd.killConnections();
      assert.equal(await exchange(await bastion.dial(target.endpoint)), "ping");
      assert.deepEqual(prompter.asked, [
        { kind: "passphrase", upstream: "bastion", file: sshd.encryptedIdentityFile },
      ]);
    });

    test("an encrypted key with nobody to ask is left out, and the error says so", async () => {
      const error = await refusal(sshd, target, { config: { identity_file: [sshd.encryptedIdentityFile] } });
      assert.equal(error.code, "auth");
      assert.equal(error.scope, "upstream");
      assert.equal(error.step, "auth");
      assert.match(error.message, /it is encrypted, and there is nobody to ask/);
      assert.match(error.message, /the server takes publickey/);
    });

    test("a key in ssh-agent opens the door, while the identity file named is not there", async () => {
      await using agent = await startSshAgent([sshd.rsaIdentityFile, sshd.identityFile]);
      const config = { agent: agent.socket, identity_file: ["/nonexistent/id"] };
      assert.equal(await reach(sshd, target, { config }), "ping");
    });

    test("IdentitiesOnly keeps the agent's other keys to ourselves", async () => {
      await using agent = await startSshAgent([sshd.rsaIdentityFile]);
      const file = join(sshd.directory, "identities_only");
      await writeFile(file, "identitiesonly yes\nIdentityFile /nonexistent/id\n");
      const config = { agent: agent.socket, identity_file: [], ssh_config: true, ssh_config_file: file };
      const error = await refusal(sshd, target, { config });
      assert.equal(error.code, "auth");
      assert.match(error.message, /it holds no key to use here/);
      await writeFile(file, `identitiesonly yes\nIdentityFile ${sshd.rsaIdentityFile}.pub\n`);
      assert.equal(await reach(sshd, target, { config }), "ping");
    });

    test("an agent that is not there costs nothing but its own turn", async () => {
      assert.equal(await reach(sshd, target, { config: { agent: "/nonexistent/agent.sock" } }), "ping");
    });
  });

  describe("with passwords", { skip: skipWithoutUsers() }, () => {
    let withPassword: Sshd;
    let interactive: Sshd;
    before(async () => {
      const options = { password: "s3cret", hostKeys: ["ed25519"] } as const;
      withPassword = await startSshd(options);
      interactive = await startSshd({ ...options, keyboardInteractive: true });
    });
    after(async () => {
      await withPassword.stop();
      await interactive.stop();
    });

    test("the right one opens the door", async () => {
      const config = { identity_file: ["/nonexistent/id"], password: { text: "s3cret" } };
      assert.equal(await reach(withPassword, target, { config }), "ping");
    });

    test("a wrong one is an auth error that says what was tried and what the server takes", async () => {
      const config = { identity_file: ["/nonexistent/id"], password: { text: "wrong" } };
      const error = await refusal(withPassword, target, { config });
      assert.equal(error.code, "auth");
      assert.equal(error.scope, "upstream");
      assert.match(error.message, new RegExp(`did not accept ${withPassword.user}; tried password; `));
      assert.match(error.message, /the server takes publickey, ?password/);
      assert.doesNotMatch(error.message, /wrong/);
    });

    test("a person is asked where none is configured, and not again", async () => {
      const prompter = answering("s3cret");
      await using bastion = upstreamFor(withPassword, {
        config: { identity_file: ["/nonexistent/id"] },
        prompter,
      });
      await exchange(await bastion.dial(target.endpoint));
      withPassword.killConnections();
      await exchange(await bastion.dial(target.endpoint));
      const { user, host } = withPassword;
      assert.deepEqual(prompter.asked, [{ kind: "password", upstream: "bastion", user, host }]);
    });

    test("keyboard-interactive's single hidden question is answered with the password", async () => {
      const config = { identity_file: ["/nonexistent/id"], password: { text: "s3cret" } };
      assert.equal(await reach(interactive, target, { config }), "ping");
    });

    test("keyboard-interactive asks a person where there is no password", async () => {
      const prompter = answering("s3cret");
      const config = { identity_file: ["/nonexistent/id"] };
      assert.equal(await reach(interactive, target, { config, prompter }), "ping");
      const [prompt] = prompter.asked;
      assert.equal(prompt?.kind, "keyboard-interactive");
      assert.match("prompt" in prompt ? prompt.prompt : "", /password/i);
    });

    test("a key and then a password, where the server wants both", async () => {
      const both = await startSshd({
        password: "s3cret",
        config: ["AuthenticationMethods publickey,password"],
      });
      try {
        assert.equal(await reach(both, target, { config: { password: { text: "s3cret" } } }), "ping");
        await using agent = await startSshAgent([both.identityFile]);
        const config = {
          agent: agent.socket,
          identity_file: ["/nonexistent/id"],
          password: { text: "s3cret" },
        };
        assert.equal(await reach(both, target, { config }), "ping");
      } finally {
        await both.stop();
      }
    });
  });

  describe("who the server is", () => {
    test("a host never seen is trusted and remembered, readable by its owner alone", async () => {
      const trustStorePath = join(sshd.directory, "first", "trusted");
      const overrides = { config: { known_hosts_file: [] }, trustStorePath };
      assert.equal(await reach(sshd, target, overrides), "ping");
      const stored = await readFile(trustStorePath, "utf8");
      assert.match(stored, new RegExp(`^\\[127\\.0\\.0\\.1\\]:${sshd.port} ssh-ed25519 \\S+\n$`));
      assert.equal((await stat(trustStorePath)).mode & 0o777, 0o600);
      const strict = { ...overrides, config: { ...overrides.config, host_key_check: "strict" as const } };
      assert.equal(await reach(sshd, target, strict), "ping");
      assert.equal(await readFile(trustStorePath, "utf8"), stored);
    });

    test("strict refuses a host never seen, and names its fingerprint", async () => {
      const error = await refusal(sshd, target, {
        config: { known_hosts_file: [], host_key_check: "strict" },
      });
      const { stdout } = await run("ssh-keygen", ["-lf", join(sshd.directory, "host_ed25519.pub")]);
      assert.equal(error.code, "host-key");
      assert.equal(error.step, "host-key");
      assert.equal(error.scope, "upstream");
      assert.ok(error.message.includes(stdout.split(" ")[1]!), error.message);
    });

    test("a changed key is refused, with both fingerprints, and where the old one is on file", async () => {
      await using changed = await startSshd({ hostKeys: ["ed25519"] });
      const { stdout } = await run("ssh-keygen", ["-lf", changed.knownHostsFile]);
      await changed.rotateHostKeys();
      await changed.restart();
      const error = await refusal(changed, target);
      assert.equal(error.code, "host-key");
      assert.ok(error.message.includes(stdout.split(" ")[1]!), error.message);
      assert.ok(error.message.includes(`${changed.knownHostsFile} line 1`), error.message);
      assert.equal(error.message.match(/SHA256:/g)?.length, 2);
      assert.equal(await reach(changed, target, { config: { host_key_check: "off" } }), "ping");
      await changed.writeKnownHosts();
      assert.equal(await reach(changed, target), "ping");
    });

    test("a host known by its RSA key alone is asked for that one, though it has newer ones", async () => {
      const file = join(sshd.directory, "rsa_only");
      const lines = (await readFile(sshd.knownHostsFile, "utf8")).split("\n");
      await writeFile(file, lines.filter((line) => line.includes("ssh-rsa")).join("\n"));
      const config = { known_hosts_file: [file], host_key_check: "strict" as const };
      assert.equal(await reach(sshd, target, { config }), "ping");
    });

    test("names hashed by ssh-keygen -H are found", async () => {
      const file = join(sshd.directory, "hashed");
      await writeFile(file, await readFile(sshd.knownHostsFile));
      await run("ssh-keygen", ["-q", "-H", "-f", file]);
      assert.match(await readFile(file, "utf8"), /^\|1\|/);
      const config = { known_hosts_file: [file], host_key_check: "strict" as const };
      assert.equal(await reach(sshd, target, { config }), "ping");
    });
  });

  test("bytes stay what they were for a reader that keeps them and stops now and then", async () => {
    const sent = randomBytes(8 * 1024 * 1024);
    await using source = await startTarget((socket) => void socket.end(sent));
    await using bastion = upstreamFor(sshd);
    const stream = await bastion.dial(source.endpoint);
    const kept: Buffer[] = [];
    let bytes = 0;
    stream.on("data", (chunk: Buffer) => {
      kept.push(chunk);
      bytes += chunk.length;
      if (kept.length % 10 !== 0) return;
      stream.pause();
      // What comes meanwhile waits, and another channel's bytes come in between.
      void bastion
        .dial(target.endpoint)
        .then(exchange)
        .then(() => stream.resume());
    });
    await once(stream, "end");
    assert.equal(bytes, sent.length);
    assert.equal(sha256(Buffer.concat(kept)), sha256(sent));
    stream.destroy();
  });

  describe("ways there", () => {
    test("ProxyJump leads over one server to the next, each by its own section", async () => {
      await using inner = await startSshd({ hostKeys: ["ed25519"] });
      const file = join(inner.directory, "jump_config");
      await writeFile(
        file,
        [
          "Host inner",
          `  HostName 127.0.0.1\n  Port ${inner.port}\n  IdentityFile ${inner.identityFile}`,
          `  UserKnownHostsFile ${inner.knownHostsFile}\n  StrictHostKeyChecking yes\n  ProxyJump jump`,
          "Host jump",
          `  hostname 127.0.0.1\n  PORT ${sshd.port}\n  IdentityFile ${sshd.identityFile}`,
          `  UserKnownHostsFile ${sshd.knownHostsFile}\n  StrictHostKeyChecking yes\n  User ${sshd.user}`,
        ].join("\n"),
      );
      const config = { address: "inner", identity_file: [], ssh_config: true, ssh_config_file: file };
      const before = sshd.connections();
      await using bastion = upstreamFor(inner, { config, without: ["user", "known_hosts_file"] });
      const stream = await bastion.dial(target.endpoint);
      assert.equal(sshd.connections(), before + 1);
      assert.equal(inner.connections(), 1);
      assert.equal(await exchange(stream), "ping");
    });

    test("ProxyCommand's program is the way, and ends with the connection", async () => {
      const file = join(sshd.directory, "command_config");
      const pidFile = join(sshd.directory, "command_pid");
      const script = join(sshd.directory, "way.mjs");
      await writeFile(
        script,
        `import { connect } from "node:net";
         import { writeFileSync } from "node:fs";
         writeFileSync(process.argv[4], String(process.pid));
         const socket = connect(Number(process.argv[3]), process.argv[2]);
         process.stdin.pipe(socket).pipe(process.stdout);`,
      );
      const lines = ["Host *", `ProxyCommand ${process.execPath} "${script}" %h %p '${pidFile}' # %n %%`];
      await writeFile(file, lines.join("\n"));
      const config = { ssh_config: true, ssh_config_file: file };
      const via = { dial: async () => Promise.reject(new Error("the dialer was used")) };
      assert.equal(await reach(sshd, target, { config, via }), "ping");
      const pid = Number(await readFile(pidFile, "utf8"));
      await untilGone(pid);
    });

    test("a ProxyCommand that fails says why", async () => {
      const file = join(sshd.directory, "broken_command");
      await writeFile(file, "ProxyCommand echo no way >&2; exit 3\n");
      const error = await refusal(sshd, target, { config: { ssh_config: true, ssh_config_file: file } });
      assert.equal(error.scope, "upstream");
      assert.equal(error.code, "closed");
      assert.match(error.message, /no way/);
    });

    test("the server is reached through whatever dialer it is given: another SSH upstream", async () => {
      await using inner = await startSshd({ hostKeys: ["ed25519"] });
      await using outer = upstreamFor(sshd);
      assert.equal(await reach(inner, target, { via: outer.upstream }), "ping");
    });
  });

  test("bytes are the same both ways, and an end in one direction leaves the other open", async () => {
    await transfer(sshd);
  });

  test("keys exchanged anew in the middle of a transfer lose nothing", async () => {
    await using restless = await startSshd({
      hostKeys: ["ed25519"],
      config: ["RekeyLimit 1M", "LogLevel DEBUG1"],
    });
    await transfer(restless);
    const exchanges = restless.log().match(/rekeying|Rekey|set_newkeys: rekeying/gi)?.length ?? 0;
    assert.ok(exchanges > 1, restless.log());
  });

  test("a hundred channels share one connection", async () => {
    const before = sshd.connections();
    await using bastion = upstreamFor(sshd);
    const streams = await Promise.all(Array.from({ length: 100 }, async () => bastion.dial(target.endpoint)));
    assert.equal(sshd.connections(), before + 1);
    assert.equal(bastion.upstream.status().pool.active, 100);
    const answers = await Promise.all(streams.map(async (stream, index) => exchange(stream, `n${index}`)));
    assert.deepEqual(
      answers,
      streams.map((_stream, index) => `n${index}`),
    );
  });

  test("a test names its steps in order, with and without a target, and leaves the pool alone", async () => {
    await using bastion = upstreamFor(sshd);
    const seen: DialStep[] = [];
    const signal = AbortSignal.timeout(10_000);
    const result = await bastion.upstream.test({
      signal,
      target: target.endpoint,
      onStep: (step) => seen.push(step),
    });
    assert.equal(result.ok, true, JSON.stringify(result));
    assert.deepEqual(seen, ["tcp", "handshake", "host-key", "auth", "dial"]);
    assert.deepEqual(
      result.steps.map(({ step }) => step),
      seen,
    );
    assert.equal(bastion.upstream.status().state, "idle");
    await using stranger = upstreamFor(sshd, { config: { known_hosts_file: [], host_key_check: "strict" } });
    const failed = await stranger.upstream.test({ signal });
    assert.equal(failed.failure?.step, "host-key");
    assert.equal(failed.failure.code, "host-key");
    assert.deepEqual(
      failed.steps.map(({ step }) => step),
      ["tcp", "handshake"],
    );
  });

  test("the round trip is known soon after the first dial", async () => {
    await using bastion = upstreamFor(sshd);
    await exchange(await bastion.dial(target.endpoint));
    const { state, latencyMs } = bastion.upstream.status();
    assert.equal(state, "connected");
    assert.ok(latencyMs !== undefined && latencyMs > 0 && latencyMs < 2000, String(latencyMs));
  });

  test("an unreachable server fails the dial with the way's own code", async () => {
    const error = await refusal(sshd, target, { config: { address: "127.0.0.1:1" } });
    assert.equal(error.code, "refused");
    assert.equal(error.scope, "upstream");
  });
});

/** Twelve megabytes there, the end, and then twelve others back. */
async function transfer(sshd: Sshd): Promise<void> {
  const up = randomBytes(12 * 1024 * 1024);
  const down = randomBytes(12 * 1024 * 1024);
  let received = "";
  await using sink = await startTarget((socket) => {
    void readAll(socket).then((data) => {
      received = sha256(data);
      socket.end(down);
    });
  });
  await using bastion = upstreamFor(sshd);
  const stream = await bastion.dial(sink.endpoint);
  stream.end(up);
  assert.equal(sha256(await readAll(stream)), sha256(down));
  assert.equal(received, sha256(up));
}

async function untilGone(pid: number): Promise<void> {
  const deadline = Date.now() + 3000;
  for (;;) {
    try {
      process.kill(pid, 0);
    } catch {
      return;
    }
    assert.ok(Date.now() < deadline, `process ${pid} still runs`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
