import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { homedir, tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import fc from "fast-check";
import { DialError } from "../../errors.ts";
import { noSettings, readSshConfig, type HostSettings } from "./ssh-config.ts";

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "sockeye-ssh-config-"));
});
after(async () => rm(folder, { recursive: true }));

async function settings(text: string, host = "bastion", user?: string): Promise<HostSettings> {
  const file = join(folder, "config");
  await writeFile(file, text);
  return await readSshConfig(file, host, { user });
}

test("a missing file says nothing", async () => {
  assert.deepEqual(await readSshConfig(join(folder, "missing"), "bastion"), noSettings);
});

test("every value that counts is read, keywords in any case", async () => {
  const text = `
HOST bastion
  hostname 192.0.2.7
  USER deploy
  pORT = 2222
  IdentityFile ~/.ssh/one
  identityfile "/keys/with space"
  IdentitiesOnly yes
  IdentityAgent ~/agent.sock
  UserKnownHostsFile ~/kh1 /kh2
  GlobalKnownHostsFile none
  StrictHostKeyChecking accept-new
  HostKeyAlias known-as
  ServerAliveInterval 7
  ServerAliveCountMax 2
  ConnectTimeout 1m30s
  Compression yes
  HostKeyAlgorithms +ssh-rsa
  ProxyJump a,me@b:2022
`;
  assert.deepEqual(await settings(text), {
    hostName: "192.0.2.7",
    user: "deploy",
    port: 2222,
    identityFiles: [join(homedir(), ".ssh/one"), "/keys/with space"],
    identitiesOnly: true,
    identityAgent: join(homedir(), "agent.sock"),
    userKnownHostsFiles: [join(homedir(), "kh1"), "/kh2"],
    globalKnownHostsFiles: [],
    strictHostKeyChecking: "accept-new",
    hostKeyAlias: "known-as",
    serverAliveInterval: 7,
    serverAliveCountMax: 2,
    connectTimeout: 90,
    proxy: { jump: ["a", "me@b:2022"] },
  });
});

test("the first value wins, IdentityFile adds up, and Host * is for all", async () => {
  const text =
    "Host bastion\nUser first\nIdentityFile /one\nHost *\nUser second\nIdentityFile /two\nPort 23\n";
  const found = await settings(text);
  assert.equal(found.user, "first");
  assert.equal(found.port, 23);
  assert.deepEqual(found.identityFiles, ["/one", "/two"]);
  assert.equal((await settings(text, "elsewhere")).user, "second");
});

test("patterns and negations choose the section", async () => {
  const text = "Host *.corp !secret.corp\n  Port 2022\n";
  assert.equal((await settings(text, "a.corp")).port, 2022);
  assert.equal((await settings(text, "secret.corp")).port, undefined);
  assert.equal((await settings(text, "a.other")).port, undefined);
});

test("Match looks at host, originalhost and user", async () => {
  const text = `
Host alias
  HostName real.example.com
Match host real.example.com user deploy
  Port 2001
Match originalhost alias
  ServerAliveInterval 9
Match all
  ConnectTimeout 4
`;
  const found = await settings(text, "alias", "deploy");
  assert.deepEqual([found.port, found.serverAliveInterval, found.connectTimeout], [2001, 9, 4]);
  assert.equal((await settings(text, "alias", "root")).port, undefined);
});

test("nothing in the file is run", async () => {
  const mark = join(folder, "ran");
  const text = `Match exec "touch ${mark}"\n  Port 1\nHost *\n  CanonicalizeHostname yes\n  CanonicalDomains a b\n  User u\n`;
  assert.deepEqual(await settings(text), { ...noSettings, user: "u" });
  await assert.rejects(
    readSshConfig(mark, "x").then(() => rm(mark)),
    { code: "ENOENT" },
  );
});

test("Include brings in files, relative and by pattern, under the Host that it stands in", async () => {
  await writeFile(join(folder, "inc-1"), "Host bastion\n  Port 1001\nHost other\n  Port 1002\n");
  await writeFile(join(folder, "inc-2"), "User included\nPort 1003\n");
  const text = "include inc-*\nHost other\n  User outer\n";
  const bastion = await settings(text);
  assert.deepEqual([bastion.port, bastion.user], [1001, "included"]);
  const nested = "Host other\n  Include inc-1 inc-2\nHost *\n  User outer\n";
  assert.deepEqual(await settings(nested), { ...noSettings, user: "outer" });
  const other = await settings(nested, "other");
  assert.deepEqual([other.port, other.user], [1002, "included"]);
});

test("a file that includes itself is an error, not a loop", async () => {
  await assert.rejects(settings("Include config\n"), { message: /is included by itself/ });
});

test("ProxyCommand comes as it stands, quotes, hashes and all", async () => {
  const command = `ssh -W "%h:%p" 'a  b' \\"x\\" gate | tee "/tmp/a#b" # end`;
  const found = await settings(`Host bastion\n\tProxyCommand = ${command}  \n`);
  assert.deepEqual(found.proxy, { command });
});

test("of ProxyJump and ProxyCommand the first one counts, and none means none", async () => {
  const jump = await settings("ProxyJump a\nProxyCommand nc %h %p\n");
  assert.deepEqual(jump.proxy, { jump: ["a"] });
  const command = await settings("Host *\nProxyCommand nc %h %p\nProxyJump a\n");
  assert.deepEqual(command.proxy, { command: "nc %h %p" });
  assert.equal((await settings("ProxyJump none\nProxyCommand nc %h %p\n")).proxy, undefined);
  assert.equal((await settings("ProxyCommand none\n")).proxy, undefined);
});

test("the agent can be none, the environment's, or a path", async () => {
  assert.equal((await settings("IdentityAgent none\n")).identityAgent, false);
  process.env["SOCKEYE_TEST_AGENT"] = "/run/agent";
  assert.equal((await settings("IdentityAgent $SOCKEYE_TEST_AGENT\n")).identityAgent, "/run/agent");
  delete process.env["SOCKEYE_TEST_AGENT"];
});

test("whoever wants to be asked about a host key is asked", async () => {
  assert.equal((await settings("StrictHostKeyChecking ask\n")).strictHostKeyChecking, "ask");
  assert.equal((await settings("StrictHostKeyChecking yes\n")).strictHostKeyChecking, "strict");
  assert.equal((await settings("StrictHostKeyChecking no\n")).strictHostKeyChecking, "off");
});

test("tokens are expanded", async () => {
  const found = await settings("HostName %h.example.com\nUser me\nIdentityFile %d/%u/%r/%h/%%\n");
  assert.equal(found.hostName, "bastion.example.com");
  const expected = `${homedir()}/${userInfo().username}/me/bastion.example.com/%`;
  assert.deepEqual(found.identityFiles, [expected]);
});

test("a path's tokens name the host, its port and its key as they are decided on", async () => {
  const text =
    "HostName real\nPort 2022\nUser me\nIdentityFile /k/%n-%h-%p-%r-%i\nUserKnownHostsFile /kh/%k\n";
  const uid = userInfo().uid;
  const found = await settings(text);
  assert.deepEqual(found.identityFiles, [`/k/bastion-real-2022-me-${uid}`]);
  assert.deepEqual(found.userKnownHostsFiles, ["/kh/bastion"]);
  assert.deepEqual((await settings(`HostKeyAlias one\n${text}`)).userKnownHostsFiles, ["/kh/one"]);
  const file = join(folder, "config");
  const decided = await readSshConfig(file, "bastion", { user: "root", port: 22 });
  assert.deepEqual(decided.identityFiles, [`/k/bastion-real-22-root-${uid}`]);
});

test("an Include's only path may hold a space, in quotes", async () => {
  await writeFile(join(folder, "with space"), "Host bastion\n  Port 1004\n");
  assert.equal((await settings('Include "with space"\n')).port, 1004);
});

test("a criterion of Match can be negated", async () => {
  const text = "Match host b*,!bad !user root,admin\n  Port 2005\nMatch !host bastion\n  Port 2006\n";
  assert.equal((await settings(text, "bastion", "me")).port, 2005);
  assert.equal((await settings(text, "bastion", "admin")).port, undefined);
  assert.equal((await settings(text, "other", "me")).port, 2006);
  const both = "Match host *.corp !host secret.corp\n  Port 2007\n";
  assert.equal((await settings(both, "a.corp")).port, 2007);
  assert.equal((await settings(both, "secret.corp")).port, undefined);
});

test("a broken line is an error that names file and line", async () => {
  const text = 'Host bastion\n  Port 22\n  IdentityFile "/unended\n';
  await assert.rejects(settings(text), {
    message: `${join(folder, "config")} line 3 is not a line of an ssh_config file`,
  });
  await assert.rejects(settings("Port many\n"), { message: /"many" is not a value for port/ });
  await assert.rejects(readSshConfig(folder, "bastion"), { message: /can't be read/ });
});

test("any content gives settings or a DialError", async () => {
  const word = fc.constantFrom(
    "Host",
    "Match",
    "ProxyJump",
    "ProxyCommand",
    "Port",
    "*",
    "a",
    "all",
    '"',
    "#",
    "=",
    "!",
    "none",
  );
  const line = fc.array(word, { maxLength: 5 }).map((words) => words.join(" "));
  await fc.assert(
    fc.asyncProperty(fc.array(line, { maxLength: 6 }), async (lines) => {
      try {
        await settings(lines.join("\n"));
      } catch (error) {
        assert.ok(error instanceof DialError, String(error));
      }
    }),
    { numRuns: 300 },
  );
});
