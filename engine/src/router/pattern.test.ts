import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { formatAddress, normalizeHost, parseAddress } from "./address.ts";
import { parseNetwork, parsePattern } from "./pattern.ts";

const port = (low: number, high = low) => ({ low, high });
const all = port(0, 65_535);

test("each form of a match is read as what it says", () => {
  const network = (text: string, ports = all) => ({ kind: "network", network: parseNetwork(text), ports });
  const forms: [string, object][] = [
    ["*", { kind: "any", ports: all }],
    ["*:443", { kind: "any", ports: port(443) }],
    ["10.0.0.0/8", network("10.0.0.0/8")],
    ["10.0.0.0/8:8000-8999", network("10.0.0.0/8", port(8000, 8999))],
    ["10.1.2.3", network("10.1.2.3/32")],
    ["10.1.2.3:22", network("10.1.2.3/32", port(22))],
    ["0.0.0.0/0", network("0.0.0.0/0")],
    ["fd00::/8", network("fd00::/8")],
    ["[fd00::/8]:443", network("fd00::/8", port(443))],
    ["[fd00::]/8:443", network("fd00::/8", port(443))],
    ["2001:db8::1", network("2001:db8::1/128")],
    ["[2001:db8::1]", network("2001:db8::1/128")],
    ["[2001:db8::1]:0-1023", network("2001:db8::1/128", port(0, 1023))],
    ["::ffff:10.0.0.0/104", network("10.0.0.0/8")],
    ["Git.Corp.Internal.", { kind: "name", name: "git.corp.internal", ports: all }],
    ["git.corp:22", { kind: "name", name: "git.corp", ports: port(22) }],
    ["localhost", { kind: "name", name: "localhost", ports: all }],
    ["*.Corp.Internal:22-23", { kind: "suffix", suffix: "corp.internal", ports: port(22, 23) }],
    ["*.com", { kind: "suffix", suffix: "com", ports: all }],
    ["bücher.example", { kind: "name", name: "xn--bcher-kva.example", ports: all }],
    ["*.bücher.example", { kind: "suffix", suffix: "xn--bcher-kva.example", ports: all }],
    ["_sip._tcp.example.com", { kind: "name", name: "_sip._tcp.example.com", ports: all }],
  ];
  for (const [text, expected] of forms) assert.deepEqual(parsePattern(text), expected, text);
});

test("a wrong match is refused with a sentence that says what would be right", () => {
  const refusals: [string, string][] = [
    ["10.1.2.3/8", '"10.1.2.3/8" has bits set beyond its prefix; the network is 10.0.0.0/8'],
    ["fd00::1/8", '"fd00::1/8" has bits set beyond its prefix; the network is fd00::/8'],
    ["10.0.0.0/33", '"10.0.0.0/33" has a wrong prefix length; for IPv4 it is a number from 0 to 32'],
    [
      "10.0.0.0/255.0.0.0",
      '"10.0.0.0/255.0.0.0" has a wrong prefix length; for IPv4 it is a number from 0 to 32',
    ],
    ["fd00::/129", '"fd00::/129" has a wrong prefix length; for IPv6 it is a number from 0 to 128'],
    ["10.0.0/8", '"10.0.0/8" is not a network; write ADDRESS/BITS, such as 10.0.0.0/8 or fd00::/8'],
    [
      "::ffff:0:0/90",
      '"::ffff:0:0/90" is wider than IPv4 within IPv6; write the IPv4 network, such as 0.0.0.0/0',
    ],
    ["10.0.0.256", '"10.0.0.256" is not an address; IPv4 is four numbers from 0 to 255, such as 10.0.0.1'],
    ["10.0.0", '"10.0.0" is not an address; IPv4 is four numbers from 0 to 255, such as 10.0.0.1'],
    ["010.0.0.1", '"010.0.0.1" is not an address; IPv4 is four numbers from 0 to 255, such as 10.0.0.1'],
    [
      "a.com:99999",
      '"a.com:99999": "99999" is not a port; write a number from 1 to 65535, or a range such as 8000-8999',
    ],
    ["a.com:", '"a.com:": "" is not a port; write a number from 1 to 65535, or a range such as 8000-8999'],
    ["a.com:0", '"a.com:0": nothing connects to port 0, so this can never match; leave it out for all ports'],
    ["*:0-0", '"*:0-0": nothing connects to port 0, so this can never match; leave it out for all ports'],
    ["a.com:9-8", '"a.com:9-8": the range runs backwards; write 8-9'],
    [":443", '":443" has no host; write *:443 for a port of every host'],
    ["https://a.com/", '"https://a.com/" is a URL; write its host, with :PORT if the port matters'],
    ["[10.0.0.1]:80", '"[10.0.0.1]:80": brackets are for IPv6; write it without them'],
    ["fd00::/8:443", '"fd00::/8:443": a port after IPv6 is written [fd00::/8]:443'],
    ["a.*.com", '"a.*.com": a * stands alone, or before the first dot as in *.example.com, and nowhere else'],
    ["*corp", '"*corp": a * stands alone, or before the first dot as in *.example.com, and nowhere else'],
    ["a b", '"a b" is neither a name, an address nor a network'],
    ["", '"" is neither a name, an address nor a network'],
    ["*.", '"*." is neither a name, an address nor a network'],
    [":::", '":::" is not a network; write ADDRESS/BITS, such as 10.0.0.0/8 or fd00::/8'],
  ];
  for (const [text, message] of refusals) {
    assert.throws(() => parsePattern(text), { name: "SyntaxError", message }, text);
  }
});

test("no text makes the pattern reader throw anything but a SyntaxError", () => {
  const pieces = fc.constantFrom(
    "*",
    ".",
    ":",
    "/",
    "[",
    "]",
    "-",
    "%",
    "10",
    "0",
    "fd",
    "ffff",
    "a",
    "é",
    "::",
  );
  const text = fc.oneof(
    fc.string(),
    fc.array(pieces, { maxLength: 12 }).map((parts) => parts.join("")),
  );
  fc.assert(
    fc.property(text, (match) => {
      try {
        parsePattern(match);
      } catch (error) {
        assert.ok(error instanceof SyntaxError, String(error));
      }
    }),
    { numRuns: 2000 },
  );
});

test("every address is read back from its usual text form", () => {
  const word = fc.oneof(fc.nat(0xffffffff), fc.constantFrom(0, 1, 0xffff, 0xffff0000));
  fc.assert(
    fc.property(fc.oneof(fc.tuple(word), fc.tuple(word, word, word, word)), (words) => {
      const mapped = words.length === 4 && words[0] === 0 && words[1] === 0 && words[2] === 0xffff;
      assert.deepEqual(parseAddress(formatAddress(words)), mapped ? [words[3]] : words);
    }),
  );
});

test("addresses are read strictly, and names are not addresses", () => {
  const addresses = ["1.2.3.4", "::", "::1", "1::", "1:2:3:4:5:6:7:8", "fe80::1%eth0", "64:ff9b::1.2.3.4"];
  for (const text of addresses) assert.ok(parseAddress(text), text);
  assert.deepEqual(parseAddress("::FFFF:1.2.3.4"), parseAddress("1.2.3.4"));
  const others = [
    "1.2.3",
    "1.2.3.4.5",
    "1.2.3.04",
    "1.2.3.256",
    "1..2.3",
    "1.2.3.",
    "12345::",
    "1:2:3:4:5:6:7:8:9",
  ];
  others.push("1::2::3", ":1", "1:", "1:2:3:4:5:6:7::8:9", "::1.2.3", "1.2.3.4::", "a.b", "");
  for (const text of others) assert.equal(parseAddress(text), undefined, text);
});

test("names that system resolvers take for addresses become addresses", () => {
  assert.equal(normalizeHost("0x7f.1"), "127.0.0.1");
  assert.equal(normalizeHost("2130706433"), "127.0.0.1");
  assert.equal(normalizeHost("127.1."), "127.0.0.1");
  assert.equal(normalizeHost("１２７.0.0.1"), "127.0.0.1");
  assert.equal(normalizeHost("Example.COM."), "example.com");
  assert.equal(normalizeHost("example.3com"), "example.3com");
});
