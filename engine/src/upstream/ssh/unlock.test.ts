import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { skipWithout } from "../../../../test/peers/peer-process.ts";
import { parseKey, plainKeyText } from "./plain-key.ts";
import { unlockAside } from "./unlock.ts";

const directory = await mkdtemp(join(tmpdir(), "sockeye-unlock-"));
after(() => rm(directory, { recursive: true, force: true }));

const kinds = [
  ["an Ed25519 key", ["-t", "ed25519"]],
  ["an Ed25519 key under AES-GCM", ["-t", "ed25519", "-Z", "aes256-gcm@openssh.com"]],
  ["an RSA key", ["-t", "rsa", "-b", "2048"]],
  ["an ECDSA key", ["-t", "ecdsa"]],
  ["an RSA key in the old format", ["-t", "rsa", "-b", "2048", "-m", "PEM"]],
  ["an RSA key in PKCS #8", ["-t", "rsa", "-b", "2048", "-m", "PKCS8"]],
  ["an ECDSA key in PKCS #8", ["-t", "ecdsa", "-m", "PKCS8"]],
] as const;

/** The text of a fresh key that `secret` opens. */
async function encryptedKey(options: readonly string[]): Promise<string> {
  const file = join(directory, String(Math.random()));
  execFileSync("ssh-keygen", ["-q", ...options, "-N", "secret", "-f", file]);
  return readFile(file, "utf8");
}

describe("an encrypted private key", { skip: skipWithout("ssh-keygen") }, () => {
  for (const [what, options] of kinds) {
    it(`${what} is the same key once it is opened`, async () => {
      const text = await encryptedKey([...options, "-a", "1"]);
      const expected = parseKey(text, "secret");
      const locked = parseKey(text);
      assert.ok(locked instanceof Error && locked.message.includes("no passphrase given"));
      const opened = parseKey(plainKeyText(text, "secret") ?? "");
      assert.ok(!(opened instanceof Error) && !(expected instanceof Error));
      assert.deepEqual(opened.getPublicSSH(), expected.getPublicSSH());
      assert.ok(expected.verify("words", opened.sign("words")));
    });
  }

  for (const options of [
    ["-t", "ed25519", "-a", "1"],
    ["-t", "ecdsa", "-m", "PKCS8"],
  ]) {
    it(`is not opened by a wrong passphrase (${options.join(" ")})`, async () => {
      assert.equal(await unlockAside(await encryptedKey(options), "wrong"), undefined);
    });
  }

  it("lets traffic go on while its passphrase is tried", async () => {
    const text = await encryptedKey(["-t", "ed25519"]);
    let turns = 0;
    const ticker = setInterval(() => turns++, 5);
    const key = await unlockAside(text, "secret");
    clearInterval(ticker);
    assert.equal(key?.type, "ssh-ed25519");
    assert.ok(turns >= 10, `the event loop turned ${turns} times`);
  });
});

describe("a private key in PKCS #8, as openssl writes it", () => {
  for (const [what, key] of [
    ["Ed25519", generateKeyPairSync("ed25519")],
    ["ECDSA", generateKeyPairSync("ec", { namedCurve: "P-384" })],
    ["RSA", generateKeyPairSync("rsa", { modulusLength: 2048 })],
  ] as const) {
    it(`is read and signs: ${what}`, () => {
      const parsed = parseKey(key.privateKey.export({ type: "pkcs8", format: "pem" }).toString());
      assert.ok(!(parsed instanceof Error));
      assert.ok(parsed.isPrivateKey() && parsed.verify("words", parsed.sign("words")));
    });
  }

  it("of a kind that SSH has no use for is refused by its name", () => {
    const { privateKey } = generateKeyPairSync("x25519");
    const refused = parseKey(privateKey.export({ type: "pkcs8", format: "pem" }).toString());
    assert.ok(refused instanceof Error && refused.message.includes("type x25519 are not supported"));
  });
});
