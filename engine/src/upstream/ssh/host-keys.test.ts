import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { DialError } from "../../errors.ts";
import { HostKeyCheck, TrustStore, type HostKeyOptions } from "./host-keys.ts";
import { fingerprint, formatKnownHost } from "./known-hosts.ts";

let folder: string;
let files = 0;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "sockeye-hostkeys-"));
});
after(async () => rm(folder, { recursive: true }));

function publicKey(type: string): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(type.length);
  return Buffer.concat([length, Buffer.from(type), randomBytes(36)]);
}

const ed25519 = publicKey("ssh-ed25519");
const otherEd25519 = publicKey("ssh-ed25519");
const rsa = publicKey("ssh-rsa");
const name = "[bastion.example.com]:2222";

async function knownHosts(...lines: string[]): Promise<string> {
  const file = join(folder, `known_hosts${++files}`);
  await writeFile(file, lines.join(""));
  return file;
}

async function load(options: Partial<HostKeyOptions> = {}): Promise<HostKeyCheck> {
  return await HostKeyCheck.load({
    server: { host: "Bastion.example.com", port: 2222 },
    files: [],
    trustStore: new TrustStore(join(folder, `trusted${++files}`)),
    mode: "accept-new",
    ...options,
  });
}

async function refusal(check: HostKeyCheck, key: Buffer): Promise<DialError> {
  try {
    await check.verify(key);
  } catch (error) {
    return error as DialError;
  }
  throw new Error("the key was expected to be refused");
}

test("a key on file is known, in whichever of the files", async () => {
  const first = await knownHosts("# nothing here\n");
  const second = await knownHosts(formatKnownHost(name, ed25519));
  const check = await load({ files: [first, "/nonexistent/known_hosts", second], mode: "strict" });
  assert.equal(await check.verify(ed25519), "known");
});

test("the types that are known come first in what the server is asked for", async () => {
  const file = await knownHosts(formatKnownHost(name, rsa));
  const { algorithms } = await load({ files: [file] });
  assert.deepEqual(algorithms.slice(0, 4), ["rsa-sha2-512", "rsa-sha2-256", "ssh-rsa", "ssh-ed25519"]);
  assert.equal((await load()).algorithms[0], "ssh-ed25519");
});

test("another key of the same type has changed: both fingerprints, file and line are named", async () => {
  const file = await knownHosts("# one\n", formatKnownHost(name, ed25519));
  for (const mode of ["accept-new", "strict"] as const) {
    const error = await refusal(await load({ files: [file], mode }), otherEd25519);
    assert.equal(error.code, "host-key");
    assert.equal(error.scope, "upstream");
    for (const part of [
      "has changed",
      fingerprint(ed25519),
      fingerprint(otherEd25519),
      `${file} line 2`,
      "remove that line",
    ]) {
      assert.ok(error.message.includes(part), `${part} in: ${error.message}`);
    }
  }
});

test("a host that is known is not trusted anew by a key of another type", async () => {
  const file = await knownHosts(formatKnownHost(name, ed25519));
  const error = await refusal(await load({ files: [file] }), rsa);
  assert.match(error.message, /of a type that it has not used before/);
});

test("one of several keys on file is enough", async () => {
  const file = await knownHosts(formatKnownHost(name, otherEd25519), formatKnownHost(name, ed25519));
  assert.equal(await (await load({ files: [file], mode: "strict" })).verify(ed25519), "known");
});

test("a revoked key is refused though it is on file too", async () => {
  const file = await knownHosts(formatKnownHost(name, ed25519), `@revoked ${formatKnownHost("*", ed25519)}`);
  const error = await refusal(await load({ files: [file] }), ed25519);
  assert.match(error.message, /is revoked by .* line 2/);
});

test("a key that is revoked under the name without the port is refused, on file there or not", async () => {
  const bare = "bastion.example.com";
  const revoked = `@revoked ${formatKnownHost(bare, ed25519)}`;
  for (const lines of [[revoked], [revoked, formatKnownHost(bare, ed25519)]]) {
    const file = await knownHosts(...lines);
    assert.match((await refusal(await load({ files: [file] }), ed25519)).message, /is revoked by .* line 1/);
  }
});

test("strict says honestly that a certificate authority can't be used", async () => {
  const file = await knownHosts(`@cert-authority ${formatKnownHost(name, rsa)}`);
  const error = await refusal(await load({ files: [file], mode: "strict" }), ed25519);
  assert.match(error.message, /line 1 names a certificate authority for it, but host certificates are not/);
  assert.ok(error.message.includes(fingerprint(ed25519)));
});

test("the very key on file under the name without the port is known, another is no change", async () => {
  const file = await knownHosts(formatKnownHost("bastion.example.com", ed25519));
  assert.equal(await (await load({ files: [file], mode: "strict" })).verify(ed25519), "known");
  assert.equal(await (await load({ files: [file] })).verify(otherEd25519), "new");
});

test("HostKeyAlias takes the place of host and port", async () => {
  const file = await knownHosts(formatKnownHost("alias", ed25519));
  assert.equal(
    await (await load({ files: [file], mode: "strict", alias: "Alias" })).verify(ed25519),
    "known",
  );
});

test("off accepts a changed key and remembers nothing", async () => {
  const file = await knownHosts(formatKnownHost(name, ed25519));
  const trustStore = new TrustStore(join(folder, "off"));
  assert.equal(
    await (await load({ files: [file], mode: "off", trustStore })).verify(otherEd25519),
    "unchecked",
  );
  await assert.rejects(stat(trustStore.path), { code: "ENOENT" });
});

test("a first key is remembered for its owner alone, and a second then refused", async () => {
  const trustStore = new TrustStore(join(folder, "state", "trusted"));
  assert.equal(await (await load({ trustStore })).verify(ed25519), "new");
  assert.equal((await stat(trustStore.path)).mode & 0o777, 0o600);
  assert.equal(await readFile(trustStore.path, "utf8"), formatKnownHost(name, ed25519));
  assert.equal(await (await load({ trustStore, mode: "strict" })).verify(ed25519), "known");
  assert.match((await refusal(await load({ trustStore }), otherEd25519)).message, /has changed/);
});

test("connections that meet a host at the same moment remember one key once, and refuse any other", async () => {
  const path = join(folder, "race");
  const checks = await Promise.all(
    Array.from({ length: 20 }, async () => load({ trustStore: new TrustStore(path) })),
  );
  const outcomes = await Promise.allSettled(
    checks.map(async (check, index) => check.verify(index === 7 ? otherEd25519 : ed25519)),
  );
  const told = outcomes.map((outcome) => (outcome.status === "fulfilled" ? outcome.value : "refused"));
  assert.deepEqual(told.toSorted(), [...Array<string>(18).fill("known"), "new", "refused"]);
  assert.equal((await readFile(path, "utf8")).split("\n").length, 2);
});

test("a store whose last line has no end is not run into", async () => {
  const path = join(folder, "unended");
  await writeFile(path, formatKnownHost("other", rsa).trimEnd());
  await (await load({ trustStore: new TrustStore(path) })).verify(ed25519);
  assert.equal(await readFile(path, "utf8"), formatKnownHost("other", rsa) + formatKnownHost(name, ed25519));
});

test("a key that can't be remembered is not accepted", async () => {
  await mkdir(join(folder, "in-the-way"));
  await writeFile(join(folder, "a-file"), "");
  const trustStore = new TrustStore(join(folder, "a-file", "trusted"));
  const error = await refusal(await load({ trustStore }), ed25519);
  assert.match(error.message, /can't be remembered in/);
});

test("a file that is there and can't be read is an error, not an empty file", async () => {
  await assert.rejects(load({ files: [folder] }), { code: "host-key", message: /can't be read/ });
});

test("in the mode ask a person's yes has a new host remembered, and anything else refuses it", async () => {
  const asked: Buffer[] = [];
  const answering = (answer: boolean) => async (key: Buffer) => {
    asked.push(key);
    return answer;
  };
  const trustStore = new TrustStore(join(folder, `trusted${++files}`));
  const declined = await refusal(await load({ mode: "ask", trustStore, ask: answering(false) }), ed25519);
  assert.equal(declined.code, "host-key");
  assert.match(declined.message, /nobody said that it is to be trusted/);
  assert.deepEqual(await trustStore.entries(), []);

  const check = await load({ mode: "ask", trustStore, ask: answering(true) });
  assert.equal(await check.isKnownByNow(ed25519), false);
  assert.equal(await check.verify(ed25519), "new");
  assert.equal(await check.isKnownByNow(ed25519), true);
  const later = await load({ mode: "ask", trustStore, ask: answering(false) });
  assert.equal(await later.verify(ed25519), "known");
  assert.equal(asked.length, 2);
});

test("in the mode ask a host never seen is refused where nobody is there, and a changed key in any case", async () => {
  const alone = await refusal(await load({ mode: "ask" }), ed25519);
  assert.match(alone.message, /nobody is there to ask/);
  const file = await knownHosts(formatKnownHost(name, ed25519));
  const never = async () => assert.fail("a changed key is no question");
  const changed = await refusal(await load({ mode: "ask", files: [file], ask: never }), otherEd25519);
  assert.match(changed.message, /has changed/);
});
