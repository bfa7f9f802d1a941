import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { promisify } from "node:util";
import { skipWithoutSshd, skipWithoutUsers, startSshd, type Sshd } from "../peers/sshd.ts";

const run = promisify(execFile);

async function ssh(sshd: Sshd, command: string): Promise<string> {
  const options = ["BatchMode=yes", `UserKnownHostsFile=${sshd.knownHostsFile}`, "StrictHostKeyChecking=yes"];
  const { stdout } = await run("ssh", [
    ...["-F", "none", "-i", sshd.identityFile, "-p", String(sshd.port)],
    ...options.flatMap((option) => ["-o", option]),
    `${sshd.user}@${sshd.host}`,
    command,
  ]);
  return stdout.trim();
}

test(
  "the sshd harness serves OpenSSH's own client, and goes without a trace",
  { skip: skipWithoutSshd() },
  async () => {
    const sshd = await startSshd();
    assert.equal(await ssh(sshd, "echo hello"), "hello");
    await sshd.rotateHostKeys();
    await sshd.restart();
    await assert.rejects(ssh(sshd, "echo hello"), /REMOTE HOST IDENTIFICATION HAS CHANGED/);
    await sshd.writeKnownHosts();
    assert.equal(await ssh(sshd, "echo again"), "again");
    await sshd.stop();
    assert.equal(existsSync(sshd.directory), false);
    assert.equal(sshd.connections(), 0);
  },
);

test("the sshd harness removes the user that it made", { skip: skipWithoutUsers() }, async () => {
  const sshd = await startSshd({ password: "s3cret", hostKeys: ["ed25519"] });
  assert.match(readFileSync("/etc/passwd", "utf8"), new RegExp(`^${sshd.user}:`, "m"));
  assert.equal(await ssh(sshd, "id -un"), sshd.user);
  await sshd.stop();
  assert.doesNotMatch(readFileSync("/etc/passwd", "utf8"), new RegExp(`^${sshd.user}:`, "m"));
});
