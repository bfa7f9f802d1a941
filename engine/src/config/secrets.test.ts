import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { after, before, test } from "node:test";
import { DialError } from "../errors.ts";
import { MAX_SECRET_BYTES, forgetSecrets, readSecret } from "./secrets.ts";

let directory: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), "sockeye-secrets-"));
});
after(() => rm(directory, { recursive: true }));

async function secretFile(name: string, content: string, mode = 0o600): Promise<string> {
  const path = join(directory, name);
  await writeFile(path, content);
  await chmod(path, mode);
  return path;
}

test("a text is the secret, and of a file the first line is", async () => {
  assert.equal(await readSecret({ text: " p w " }), " p w ");
  const warnings: string[] = [];
  const onWarning = (message: string) => warnings.push(message);
  for (const [i, content] of ["pässword", "pässword\n", "pässword\r\nsecond line\n"].entries()) {
    const file = await secretFile(`plain${i}`, content);
    assert.equal(await readSecret({ file }, { onWarning }), "pässword");
  }
  assert.deepEqual(warnings, []);
});

test("a file that others can read is warned of", { skip: process.platform === "win32" }, async () => {
  const file = await secretFile("open", "hunter2\n", 0o644);
  const warnings: string[] = [];
  assert.equal(await readSecret({ file }, { onWarning: (message) => warnings.push(message) }), "hunter2");
  assert.deepEqual(warnings, [`others can read the secret in ${file}; run chmod 600 on it`]);
});

test("a file that is missing, empty, too large or a directory is a clear error", async () => {
  const missing = join(directory, "missing");
  const empty = await secretFile("empty", "\nsecond");
  const large = await secretFile("large", "x".repeat(MAX_SECRET_BYTES + 1));
  const sentences: [string, string][] = [
    [missing, `the secret file ${missing} can't be read: it does not exist`],
    [empty, `the first line of the secret file ${empty} is empty`],
    [large, `the secret file ${large} is larger than 64 KiB`],
  ];
  if (process.platform !== "win32") {
    sentences.push([directory, `the secret file ${directory} can't be read: it is a directory`]);
  }
  for (const [file, message] of sentences) {
    await assert.rejects(readSecret({ file }), {
      name: "DialError",
      code: "auth",
      scope: "upstream",
      message,
    });
  }
});

/** A keychain program in front of the system's, which counts how often it is asked. */
async function withProgram(script: string, body: (asked: () => number) => Promise<void>): Promise<void> {
  const program = join(directory, "secret-tool");
  const log = join(directory, "asked");
  await writeFile(log, "");
  await writeFile(program, `#!/bin/sh\necho x >> '${log}'\n${script}\n`, { mode: 0o755 });
  const path = process.env["PATH"]!;
  process.env["PATH"] = `${directory}${delimiter}${path}`;
  forgetSecrets();
  try {
    await body(
      () => spawnSync("wc", ["-l", log], { encoding: "utf8" }).stdout.trim().split(" ").map(Number)[0]!,
    );
  } finally {
    process.env["PATH"] = path;
  }
}

const onLinux =
  process.platform === "linux" ? {} : { skip: "secret-tool is the keychain's program on Linux alone" };

test("the keychain is asked once for a name until it is to be forgotten", onLinux, async () => {
  await withProgram('printf "%s" "secret of $5"', async (asked) => {
    const both = await Promise.all([readSecret({ keychain: "corp" }), readSecret({ keychain: "corp" })]);
    assert.deepEqual(both, ["secret of corp", "secret of corp"]);
    assert.equal(asked(), 1);
    forgetSecrets();
    await readSecret({ keychain: "corp" });
    assert.equal(asked(), 2);
  });
});

test(
  "a failure is not remembered, and tells how to store the entry, not what was printed",
  onLinux,
  async () => {
    await withProgram("echo hunter2; echo hunter2 >&2; exit 1", async (asked) => {
      for (const times of [1, 2]) {
        await assert.rejects(readSecret({ keychain: "corp" }), (error: unknown) => {
          assert.ok(error instanceof DialError);
          assert.equal(
            error.message,
            "the keychain has no entry corp, or is locked; to store it: secret-tool store --label=Sockeye service sockeye account corp",
          );
          assert.equal(error.cause, undefined);
          return true;
        });
        assert.equal(asked(), times);
      }
    });
  },
);

test(
  "a store that is given is asked first, and the system's keychain where it has no such entry",
  onLinux,
  async () => {
    await withProgram("echo from-the-system", async (asked) => {
      const entries = new Map([["mine", "from-the-store"]]);
      const store = { read: async (name: string) => entries.get(name) };
      assert.equal(await readSecret({ keychain: "mine" }, { store }), "from-the-store");
      assert.equal(asked(), 0);
      assert.equal(await readSecret({ keychain: "theirs" }, { store }), "from-the-system");
      assert.equal(await readSecret({ keychain: "mine" }), "from-the-system");
      entries.set("mine", "changed");
      assert.equal(await readSecret({ keychain: "mine" }, { store }), "from-the-store");
      forgetSecrets();
      assert.equal(await readSecret({ keychain: "mine" }, { store }), "changed");
    });
  },
);

test("whoever stops waiting for the keychain hears so at once", onLinux, async () => {
  await withProgram("exec sleep 2", async () => {
    const controller = new AbortController();
    const reason = new DialError("cancelled", "enough");
    const answer = readSecret({ keychain: "slow" }, { signal: controller.signal });
    controller.abort(reason);
    await assert.rejects(answer, reason);
    await assert.rejects(readSecret({ keychain: "slow" }, { signal: controller.signal }), reason);
  });
});

test("a keychain program that is not installed is named", onLinux, async () => {
  forgetSecrets();
  const path = process.env["PATH"]!;
  process.env["PATH"] = join(directory, "nothing");
  try {
    await assert.rejects(readSecret({ keychain: "corp" }), {
      message: "secret-tool is not installed, and it reads the keychain entry corp",
    });
  } finally {
    process.env["PATH"] = path;
  }
});

const sessionProgram = "dbus-run-session";
const keyringPrograms = [sessionProgram, "gnome-keyring-daemon", "secret-tool"];
const missingPrograms = keyringPrograms.filter(
  (program) => spawnSync("sh", ["-c", `command -v ${program}`]).status !== 0,
);
const missingNote = `${missingPrograms.join(", ")} not installed (packages dbus, gnome-keyring, libsecret-tools)`;
const maySkip = missingPrograms.length > 0 && process.env["CI"] === undefined;
const keyring = process.platform === "linux" && maySkip ? { skip: missingNote } : onLinux;

test("an entry of a real GNOME keyring is read", keyring, () => {
  assert.deepEqual(missingPrograms, [], missingNote);
  const reader = `
    import { readSecret } from ${JSON.stringify(new URL("secrets.ts", import.meta.url).href)};
    process.stdout.write(await readSecret({ keychain: "corp" }));
    await readSecret({ keychain: "none" }).catch((error) => process.stdout.write("|" + error.code));`;
  const session = `
    set -e
    printf unlock | gnome-keyring-daemon --unlock --components=secrets >/dev/null
    printf 's3cr:t "x"' | secret-tool store --label=Sockeye service sockeye account corp
    exec "$NODE" --input-type=module -e "$READER"`;
  const home = join(directory, "home");
  const { stdout, stderr } = spawnSync(sessionProgram, ["--", "sh", "-c", session], {
    encoding: "utf8",
    timeout: 30_000,
    env: {
      PATH: process.env["PATH"],
      HOME: home,
      XDG_DATA_HOME: home,
      XDG_RUNTIME_DIR: directory,
      NODE: process.execPath,
      READER: reader,
    },
  });
  assert.equal(stdout, 's3cr:t "x"|auth', stderr);
});
