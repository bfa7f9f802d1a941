import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { nothingInCommon } from "./offer.ts";

const lists = [
  "sntrup761,curve,kex-strict-s-v00@openssh.com",
  "ssh-ed25519",
  "aes256-cbc,3des-cbc",
  "aes128-cbc",
  "umac-64",
  "umac-128",
];

function firstBytes(offered: readonly string[], before = ""): Buffer {
  const fields = offered.flatMap((list) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(list.length);
    return [length, Buffer.from(list, "latin1")];
  });
  const head = Buffer.from([0, 0, 4, 0, 6, 20]);
  return Buffer.concat([
    Buffer.from(`${before}SSH-2.0-OpenSSH_9.2\r\n`),
    head,
    Buffer.alloc(16, 7),
    ...fields,
    Buffer.alloc(9),
  ]);
}

test("what the server would take is told for each kind of thing to agree on", () => {
  const heard = firstBytes(lists);
  for (const [reason, sentence] of [
    ["key exchange algorithm", "no key exchange in common; the server takes sntrup761, curve"],
    ["host key format", "no type of host key in common; the server takes ssh-ed25519"],
    ["C->S cipher", "no cipher in common; the server takes aes256-cbc, 3des-cbc"],
    ["S->C cipher", "no cipher in common; the server takes aes128-cbc"],
    ["C->S MAC", "no MAC in common; the server takes umac-64"],
    ["S->C MAC", "no MAC in common; the server takes umac-128"],
  ] as const) {
    assert.equal(nothingInCommon(`Handshake failed: no matching ${reason}`, heard), sentence);
  }
});

test("lines before the version, and a server that offers nothing, are understood", () => {
  const heard = firstBytes(["", ...lists.slice(1)], "Welcome\r\n");
  const reason = "Handshake failed: no matching key exchange algorithm";
  assert.equal(nothingInCommon(reason, heard), "no key exchange in common; the server takes none");
});

test("another reason is left to whoever has words for it", () => {
  assert.equal(
    nothingInCommon("Handshake failed: signature verification failed", firstBytes(lists)),
    undefined,
  );
});

test("whatever a server sends, the sentence is short and can be printed", () => {
  const reason = "Handshake failed: no matching C->S cipher";
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), fc.nat(500), (noise, cut) => {
      const list = Buffer.from(noise).toString("latin1").repeat(3);
      for (const heard of [
        firstBytes([list, list, list]).subarray(0, cut),
        firstBytes([...lists.slice(0, 2), list, ...lists]),
      ]) {
        const sentence = nothingInCommon(reason, heard)!;
        assert.match(sentence, /^no cipher in common[\x20-\x7e…]*$/);
        assert.ok(sentence.length < 400);
      }
    }),
  );
});
