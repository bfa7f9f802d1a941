import assert from "node:assert/strict";
import { mkdtemp, readFile, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { Command } from "commander";
import { createAuthoriser } from "@sockeye/relay/auth/create-authoriser";
import { relaySchema } from "@sockeye/relay/config/schema";
import { CommandFailure } from "./exit-codes.ts";
import { registerToken } from "./showoff-token.ts";

/** Runs `showoff token …` in this process. @returns what it prints. */
async function run(t: TestContext, ...args: string[]): Promise<string> {
  const program = new Command().exitOverride().configureOutput({ outputError: () => {} });
  registerToken(program);
  for (const command of program.commands.flatMap((each) => [each, ...each.commands]))
    command.exitOverride().configureOutput({ outputError: () => {}, writeErr: () => {} });
  let printed = "";
  const passOn = process.stdout.write.bind(process.stdout);
  const write = t.mock.method(process.stdout, "write", (chunk: string | Uint8Array) => {
    // The runner's own records are bytes.
    if (typeof chunk !== "string") return passOn(chunk);
    printed += chunk;
    return true;
  });
  try {
    await program.parseAsync(["token", ...args], { from: "user" });
  } finally {
    write.mock.restore();
  }
  return printed;
}

async function tokensFile(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "showoff-token-"));
  t.after(() => rm(folder, { recursive: true }));
  return join(folder, "tokens.yaml");
}

const create = ["create", "--names", "demo-*,x", "--ports", "2000-2100"];

test("a token that is created opens the relay, until it is revoked; the file holds no secret and is its owner's alone", async (t) => {
  const file = await tokensFile(t);
  const token = (await run(t, ...create, "--identity", "ada", "--tokens-file", file)).trim();
  assert.match(token, /^showoff_[a-z0-9]{12}_[\w-]{43}$/);
  await run(t, ...create, "--identity", "bob", "--tokens-file", file, "--expires", "2030-01-31");
  const [, id, secret] = token.split(/_(?=.{12}_)|(?<=_.{12})_/) as [string, string, string];
  assert.ok(!(await readFile(file, "utf8")).includes(secret));
  assert.equal((await stat(file)).mode & 0o777, 0o600);

  const authoriser = await createAuthoriser(relaySchema.parse({ auth: { tokens_file: file } }), () => {});
  t.after(() => authoriser.close());
  const grant = await authoriser.authenticate({ token, source: "::1" }, new AbortController().signal);
  assert.deepEqual([grant.identity, grant.names], ["token:ada", ["demo-*", "x"]]);
  const rows = (await run(t, "list", "--tokens-file", file)).trim().split("\n");
  assert.equal(rows.length, 3);
  assert.match(rows.join("\n"), new RegExp(`${id} +ada +demo-\\*,x +2000-2100 +never`));

  const told = new Promise<void>((resolve) => authoriser.onRevocation(resolve));
  assert.equal(await run(t, "revoke", id, "--tokens-file", file), `revoked ${id}\n`);
  await told;
  assert.deepEqual(await authoriser.authorise(grant, { kind: "session" }), {
    allowed: false,
    code: "revoked",
    reason: "the credential has been revoked",
  });
  assert.match(await readFile(file, "utf8"), /bob/);
  assert.deepEqual(await readdir(join(file, "..")), ["tokens.yaml"]);
});

test("what people wrote in the file stays, and a file that is wrong is left alone", async (t) => {
  const file = await tokensFile(t);
  await writeFile(file, "# ours\ntokens: # by name\n  # nobody yet\n", { mode: 0o640 });
  await run(t, ...create, "--identity", "ada", "--tokens-file", file);
  assert.match(
    await readFile(file, "utf8"),
    /^# ours\ntokens: # by name\n {2}- \{ id: .*\n {2}# nobody yet\n$/,
  );
  assert.equal((await stat(file)).mode & 0o777, 0o640);
  await writeFile(file, "tokens: what\n");
  await assert.rejects(run(t, ...create, "--identity", "ada", "--tokens-file", file), CommandFailure);
  assert.equal(await readFile(file, "utf8"), "tokens: what\n");
});

test("without a file the token and its line are printed, and nothing is written", async (t) => {
  const printed = await run(t, ...create, "--identity", "ada");
  assert.match(
    printed,
    /^showoff_\S+\n\nits line.*\n {2}- \{ id: "[a-z0-9]{12}", identity: "ada", sha256: "[0-9a-f]{64}", names: \["demo-\*", "x"\], ports: \["2000-2100"\] \}\n$/,
  );
});

const wrong: [name: string, args: string[]][] = [
  ["a token for nothing", ["create", "--identity", "ada"]],
  ["a token for nobody", create],
  ["an identity with spaces", [...create, "--identity", "a b"]],
  ["names that are no patterns", ["create", "--identity", "ada", "--names", "a.b"]],
  ["ports that run backwards", ["create", "--identity", "ada", "--ports", "9-1"]],
  ["no date", [...create, "--identity", "ada", "--expires", "soon"]],
  ["an end that is past", [...create, "--identity", "ada", "--expires", "2001-01-31"]],
  ["an id that is none", ["revoke", "x", "--tokens-file", "/nowhere"]],
  ["an unknown id", ["revoke", "abcdefghijkl", "--tokens-file", "/nowhere"]],
  ["a file that is not there", ["list", "--tokens-file", "/nowhere"]],
];

for (const [name, args] of wrong) {
  test(`refused: ${name}`, async (t) => {
    await assert.rejects(run(t, ...args));
  });
}
