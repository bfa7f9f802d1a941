import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { test } from "node:test";
import { exec } from "@vscode/sudo-prompt";
import type { HelperStatus } from "@sockeye/engine/control/contract";
import { temporaryFolder } from "../test/folder.ts";
import { elevateBy, HelperInstaller, NotElevated, type HelperInstallerOptions } from "./helper-install.ts";
import { asCommand, installScript } from "./helper-script.ts";

const base = temporaryFolder();
const program = join(base, "sockeye-helper");
writeFileSync(program, "the program");
const sha256 = createHash("sha256").update("the program").digest("hex");

function status(state: HelperStatus["state"]): HelperStatus {
  return { state, expected: "1.2.3", message: `the helper is ${state}` };
}

function make(options: Partial<HelperInstallerOptions> = {}) {
  const temporary = mkdtempSync(join(base, "t-"));
  const scripts: string[] = [];
  const answers: HelperStatus["state"][] = ["running"];
  const installer = new HelperInstaller({
    elevate: async (command) => void scripts.push(scriptOf(command)),
    platform: "linux",
    user: 1000,
    program,
    files: { sha256, service: "[Service]", socket: "[Socket]", daemon: "<plist/>" },
    temporary,
    status: async () => status(answers.length > 1 ? answers.shift()! : answers[0]!),
    handshakeMs: 400,
    ...options,
  });
  return { installer, scripts, answers, temporary };
}

function scriptOf(command: string): string {
  const [, text] = /^echo ([A-Za-z0-9+/=]+) \| \/usr\/bin\/base64 --decode \| \/bin\/sh$/.exec(command) ?? [];
  assert.ok(text, "no shell finds anything to expand in it");
  return Buffer.from(text, "base64").toString();
}

test("one prompt installs the helper, and it counts as done when the helper answers", async () => {
  const { installer, scripts, answers, temporary } = make();
  answers.unshift("absent", "absent");
  assert.deepEqual(await installer.install(), { ok: true });
  assert.equal(scripts.length, 1);
  assert.match(scripts[0]!, new RegExp(sha256));
  assert.deepEqual(readdirSync(temporary), [], "nothing is left behind");
});

test("the program is copied where only root writes before its hash is looked at, and the copy is what is installed", () => {
  const script = installScript("linux", {
    sha256,
    service: "[Service]",
    socket: "[Socket]",
    daemon: "",
    staged: "/tmp/x/sockeye-helper",
    user: 1000,
  });
  const places = [
    "mktemp -d /usr/lib/sockeye/",
    "< /tmp/x/sockeye-helper >",
    "sha256sum",
    'mv -f "$work/sockeye-helper"',
  ];
  const found = places.map((each) => script.indexOf(each));
  assert.deepEqual(
    found,
    [...found].sort((a, b) => a - b),
  );
  assert.ok(found.every((each) => each >= 0));
  assert.equal(script.split("/tmp/x/").length, 2, "what is in the user's folder is read once");
});

test("the helper's sandbox and socket are the ones in build/", () => {
  const read = (name: string) =>
    readFileSync(new URL(`../../build/systemd/${name}`, import.meta.url), "utf8");
  const script = installScript("linux", {
    sha256,
    service: read("sockeye-helper.service"),
    socket: read("sockeye-helper.socket"),
    daemon: "",
    staged: "/tmp/x",
    user: 0,
  });
  assert.ok(
    script.includes("NoNewPrivileges=yes") && script.includes("ListenStream=/run/sockeye/helper.sock"),
  );
});

for (const [what, options] of [
  ["a folder with an odd name", { staged: "/tmp/$(reboot)/x" }],
  ["a folder with a space", { staged: "/tmp/a b/x" }],
  ["a relative one", { staged: "x" }],
  ["a hash that is none", { sha256: "$(reboot)" }],
  ["a user without a number", { user: Number.NaN }],
  ["a user below zero", { user: -1 }],
] as const) {
  test(`nothing of ${what} gets into a command of root's`, () => {
    const good = { sha256, service: "", socket: "", daemon: "", staged: "/tmp/x", user: 1 };
    assert.throws(() => installScript("linux", { ...good, ...options }));
    assert.throws(() => installScript("darwin", { ...good, ...options }));
  });
}

test("a person who says no has declined; it is no failure to be explained", async () => {
  const { installer } = make({
    elevate: () => Promise.reject(new NotElevated("Permission was not given.", { declined: true })),
  });
  assert.deepEqual(await installer.install(), {
    ok: false,
    declined: true,
    message: "Permission was not given.",
  });
});

test("a helper that does not answer, or is of another version, is no success", async () => {
  const { installer, answers } = make();
  answers[0] = "foreign";
  assert.deepEqual(await installer.install(), {
    ok: false,
    declined: false,
    message: "the helper is foreign",
  });
});

test("one prompt at a time", async () => {
  const gate = Promise.withResolvers<undefined>();
  const { installer } = make({ elevate: () => gate.promise });
  const first = installer.install();
  const second = await installer.remove();
  assert.ok(!second.ok && second.message.includes("asking already"));
  gate.resolve(undefined);
  assert.deepEqual(await first, { ok: true });
});

test("it is removed with one prompt, and then it is gone", async () => {
  const { installer, scripts, answers } = make();
  answers[0] = "absent";
  assert.deepEqual(await installer.remove(), { ok: true });
  assert.match(scripts[0]!, /sockeye-helper --cleanup/);
});

test("a build without a helper, and a system where it can't be installed so, say so and ask for nothing", async () => {
  const missing = make({ program: join(base, "none") });
  const outcome = await missing.installer.install();
  assert.ok(!outcome.ok && outcome.message.includes("has no helper"));
  const windows = make({ platform: "win32" });
  const refused = await windows.installer.install();
  assert.ok(!refused.ok && refused.message.includes("by hand"));
  assert.deepEqual([...missing.scripts, ...windows.scripts], []);
});

test("the prompt works on this Node: its fork does not use what Node 24 no longer has", async () => {
  // A name that it refuses, so that it looks at its arguments and asks nobody.
  const answered = new Promise<Error | undefined>((resolve) => {
    exec("true", { name: "not: a name" }, (error) => resolve(error));
  });
  assert.match((await answered)?.message ?? "", /alphanumeric/);
});

const prompts: readonly (readonly [string, Error & { code?: number }, string, boolean, RegExp])[] = [
  ["declined", new Error("User did not grant permission."), "", true, /not given/],
  ["no polkit agent", new Error("No polkit authentication agent found."), "", false, /nothing that asks/],
  ["no pkexec", new Error("Unable to find pkexec or kdesudo."), "", false, /nothing that asks/],
  [
    "our script's refusal",
    Object.assign(new Error('Command failed: "/usr/bin/pkexec" …'), { code: 70 }),
    "noise\nthe helper is not the one\n",
    false,
    /^the helper is not the one$/,
  ],
  [
    "another program's failure",
    Object.assign(new Error('Command failed: "/usr/bin/pkexec" …'), { code: 1 }),
    "cp: no space left on device\n",
    false,
    /could not be installed: cp: no space/,
  ],
];
for (const [what, error, stderr, declined, sentence] of prompts) {
  test(`the prompt's end is told in our words: ${what}`, async () => {
    const elevate = elevateBy((_command, _options, callback) => callback(error, "", stderr));
    await assert.rejects(elevate("x"), (thrown: unknown) => {
      assert.ok(thrown instanceof NotElevated);
      assert.equal(thrown.declined, declined);
      assert.match(thrown.message, sentence);
      return true;
    });
  });
}

test("a script passes through shells and quotes as it is", () => {
  const script = "echo \"$HOME\" `x` 'y' \\ %PATH%\n";
  assert.equal(scriptOf(asCommand(script)), script);
  assert.equal(existsSync(program), true);
});
