import assert from "node:assert/strict";
import { createHmac, randomBytes } from "node:crypto";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  fingerprint,
  formatKnownHost,
  keyTypeOf,
  knownHostsName,
  matchesHost,
  parseKnownHosts,
  type KnownHost,
} from "./known-hosts.ts";

function publicKey(type = "ssh-ed25519", body: Buffer = randomBytes(36)): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(type.length);
  return Buffer.concat([length, Buffer.from(type), body]);
}

function entry(hosts: string): KnownHost {
  const key = publicKey();
  return { marker: "plain", hosts, keyType: "ssh-ed25519", key, file: "f", line: 1 };
}

function hashed(name: string): string {
  const salt = randomBytes(20);
  const hash = createHmac("sha1", salt).update(name).digest("base64");
  return `|1|${salt.toString("base64")}|${hash}`;
}

describe("a known_hosts file", () => {
  test("gives an entry for each line that is one, with its number", () => {
    const [a, b, c] = [publicKey(), publicKey("ssh-rsa"), publicKey("ecdsa-sha2-nistp256")];
    const text = [
      "# a comment",
      "",
      `one,192.0.2.1 ssh-ed25519 ${a.toString("base64")} a comment, too`,
      "half a line",
      `\t@revoked two  ssh-rsa\t${b.toString("base64")}\r`,
      `@cert-authority *.example.com ecdsa-sha2-nistp256 ${c.toString("base64")}`,
      `@unheard-of three ssh-ed25519 ${a.toString("base64")}`,
      `four ssh-rsa ${a.toString("base64")}`,
    ].join("\n");
    assert.deepEqual(parseKnownHosts(text, "kh"), [
      { marker: "plain", hosts: "one,192.0.2.1", keyType: "ssh-ed25519", key: a, file: "kh", line: 3 },
      { marker: "revoked", hosts: "two", keyType: "ssh-rsa", key: b, file: "kh", line: 5 },
      {
        marker: "cert-authority",
        hosts: "*.example.com",
        keyType: "ecdsa-sha2-nistp256",
        key: c,
        file: "kh",
        line: 6,
      },
    ]);
  });

  test("of any content is read without an error", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        for (const found of parseKnownHosts(text, "kh")) matchesHost(found, "host");
      }),
    );
  });

  test("gives back what was written to it", () => {
    fc.assert(
      fc.property(fc.domain(), fc.integer({ min: 1, max: 65_535 }), (host, port) => {
        const key = publicKey();
        const name = knownHostsName(host, port);
        const [found, ...others] = parseKnownHosts(formatKnownHost(name, key), "kh");
        assert.deepEqual(others, []);
        assert.ok(found && found.key.equals(key) && matchesHost(found, name));
      }),
    );
  });
});

describe("an entry", () => {
  test("is found under host, or [host]:port where the port is not 22", () => {
    assert.equal(knownHostsName("Example.COM", 22), "example.com");
    assert.equal(knownHostsName("2001:db8::1", 2222), "[2001:db8::1]:2222");
    assert.ok(matchesHost(entry("[example.com]:2222"), knownHostsName("example.com", 2222)));
    assert.ok(!matchesHost(entry("example.com"), knownHostsName("example.com", 2222)));
  });

  test("matches by wildcards, and a negation outweighs every match", () => {
    assert.ok(matchesHost(entry("*.example.com"), "a.example.com"));
    assert.ok(!matchesHost(entry("*.example.com"), "example.com"));
    assert.ok(matchesHost(entry("host?"), "host1"));
    assert.ok(!matchesHost(entry("host?"), "host"));
    assert.ok(!matchesHost(entry("*.example.com,!bad.example.com"), "bad.example.com"));
    assert.ok(!matchesHost(entry("!bad.example.com,*"), "bad.example.com"));
    assert.ok(matchesHost(entry("!bad.example.com,*"), "good.example.com"));
    assert.ok(!matchesHost(entry("!bad.example.com"), "good.example.com"));
  });

  test("matches as the same pattern written as a regular expression does", () => {
    const symbol = fc.constantFrom("a", "b", ".", "*", "?");
    const patterns = fc.array(symbol, { minLength: 1, maxLength: 8 }).map((symbols) => symbols.join(""));
    const names = fc
      .array(fc.constantFrom("a", "b", "."), { maxLength: 8 })
      .map((symbols) => symbols.join(""));
    fc.assert(
      fc.property(patterns, names, (pattern, name) => {
        const expression = pattern.replaceAll(".", "\\.").replaceAll("*", ".*").replaceAll("?", ".");
        assert.equal(matchesHost(entry(pattern), name), new RegExp(`^${expression}$`).test(name));
      }),
    );
  });

  test("with many stars takes no more than a moment", () => {
    const since = performance.now();
    assert.ok(!matchesHost(entry(`${"*a".repeat(100)}*b`), "a".repeat(5000)));
    assert.ok(performance.now() - since < 500);
  });

  test("with a hashed name matches that name alone", () => {
    fc.assert(
      fc.property(fc.domain(), fc.domain(), (name, other) => {
        const found = entry(hashed(name));
        assert.ok(matchesHost(found, name));
        assert.equal(matchesHost(found, other), name === other);
      }),
    );
    assert.ok(!matchesHost(entry("|2|AAAA|AAAA"), "host"));
    assert.ok(!matchesHost(entry("|1|"), "host"));
  });
});

test("a fingerprint reads as ssh-keygen prints it", () => {
  const key = Buffer.from("AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl", "base64");
  assert.equal(fingerprint(key), "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU");
});

test("a key that is cut short has no type", () => {
  assert.equal(keyTypeOf(publicKey()), "ssh-ed25519");
  assert.equal(keyTypeOf(Buffer.alloc(3)), undefined);
  assert.equal(keyTypeOf(Buffer.from([0, 0, 0, 9, 1])), undefined);
});
