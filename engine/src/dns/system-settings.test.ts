import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { originalResolvConf, parseHosts, parseResolvConf } from "./system-settings.ts";

test("resolv.conf is read as its manual page says", () => {
  const text = `# made by a program
; another comment
nameserver 192.0.2.1
nameserver\tfe80::1%eth0
nameserver not-an-address
nameserver 2001:db8::1
nameserver 192.0.2.4
domain ignored.example
search Corp.Internal. example.com
options ndots:2 timeout:3 attempts:9 rotate edns0
`;
  assert.deepEqual(parseResolvConf(text), {
    nameservers: ["192.0.2.1", "fe80::1%eth0", "2001:db8::1"],
    search: ["corp.internal", "example.com"],
    ndots: 2,
    timeoutMs: 3000,
    attempts: 5,
    rotate: true,
  });
});

test("an empty resolv.conf means the local server and the usual options", () => {
  const usual = { search: [], ndots: 1, timeoutMs: 5000, attempts: 2, rotate: false };
  assert.deepEqual(parseResolvConf(""), { nameservers: ["127.0.0.1"], ...usual });
  const odd = "options timeout:0 ndots:x attempts:\nsearch .\n";
  assert.deepEqual(parseResolvConf(odd), { nameservers: ["127.0.0.1"], ...usual, timeoutMs: 1000 });
});

test("hosts lists the addresses of each name, whatever its case, and passes over what is none", () => {
  const hosts = parseHosts(
    "127.0.0.1 localhost\n10.0.0.1\tGit.corp git # ours\nfd00::1 git\n10.0.0.1 git\nx y\n\n#\n",
  );
  assert.deepEqual(Object.fromEntries(hosts), {
    localhost: ["127.0.0.1"],
    "git.corp": ["10.0.0.1"],
    git: ["10.0.0.1", "fd00::1"],
  });
});

test("any text can be read", () => {
  const line = fc.oneof(
    fc.string(),
    fc.constantFrom("nameserver", "options", "search", "options :", "1.2.3.4", "#"),
  );
  const text = fc.array(line).map((lines) => lines.join("\n"));
  fc.assert(
    fc.property(text, (text) => {
      assert.ok(parseResolvConf(text).nameservers.length > 0);
      parseHosts(text);
    }),
  );
});

test("behind systemd-resolved the servers are those of its own file", () => {
  const files: Record<string, string> = {
    "/etc/resolv.conf": "nameserver 127.0.0.53\noptions edns0",
    "/run/systemd/resolve/resolv.conf": "nameserver 192.0.2.1",
  };
  const read = (path: string) => files[path];
  assert.equal(originalResolvConf(read), "nameserver 192.0.2.1");
  delete files["/run/systemd/resolve/resolv.conf"];
  assert.equal(originalResolvConf(read), files["/etc/resolv.conf"]);
  files["/etc/resolv.conf"] = "nameserver 10.0.0.1";
  files["/run/systemd/resolve/resolv.conf"] = "nameserver 192.0.2.1";
  assert.equal(originalResolvConf(read), "nameserver 10.0.0.1");
  assert.equal(
    originalResolvConf(() => undefined),
    "",
  );
});
