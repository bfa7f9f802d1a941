import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import type { Command, Option } from "commander";
import { createProgram } from "./command-line.ts";
import { dropEmptyVariables, readSwitches, unreadVariables } from "./variables.ts";

/** A name that other parts of the command line have already, or that says more. */
const otherNames: Readonly<Record<string, string>> = {
  "share --name": "SOCKEYE_SHARE_NAME",
  "share --port": "SOCKEYE_SHARE_PORT",
};

/** Right values, where any word would not do. */
const values: Readonly<Record<string, string>> = {
  "--socks5": "127.0.0.1:1080",
  "--http": "[::1]:8118",
  "--metrics": "127.0.0.1:9464",
  "--target": "db.example:5432",
  "--timeout": "7",
  "--limit": "12",
  "--close": "3",
  "--relay": "relay.example:7001",
  "--port": "2022",
  "--links": "4",
  "--connect-timeout": "9",
  "--allow": "192.0.2.0/24",
};

/** What each command must be given besides. */
const given: Readonly<Record<string, readonly string[]>> = {
  test: ["production"],
  explain: ["db.example:5432"],
  share: ["3000"],
  completion: ["bash"],
};

const newProgram = () =>
  createProgram({ loadEngine: () => Promise.reject(new Error("not here")), exitCode: 0 });

interface Mirrored {
  readonly command: string;
  readonly flag: string;
  readonly option: Option;
}

const flags: Mirrored[] = newProgram().commands.flatMap((command) =>
  command.options.map((option) => ({ command: command.name(), flag: option.long!, option })),
);

/** What a command is told, by its flags and the variables, in place of doing it. */
function told(command: string, args: readonly string[], env: NodeJS.ProcessEnv): Record<string, unknown> {
  const before = { ...process.env };
  Object.assign(process.env, env);
  try {
    const program = newProgram();
    const one = program.commands.find((each) => each.name() === command)!;
    one.action(() => {});
    // A share needs a relay, unless that is what is looked at.
    const relay = command === "share" && !args.join().includes("--relay") && !env["SOCKEYE_RELAY"];
    dropEmptyVariables(program, process.env);
    program.parse([command, ...(given[command] ?? []), ...args, ...(relay ? ["--relay", "r"] : [])], {
      from: "user",
    });
    return one.opts();
  } finally {
    for (const name of Object.keys(env)) Reflect.deleteProperty(process.env, name);
    Object.assign(process.env, before);
  }
}

function valueOf({ flag, option }: Mirrored): string {
  return option.argChoices?.at(-1) ?? values[flag] ?? "some-word";
}

const isSwitch = ({ required, optional }: Option) => !required && !optional;

describe("the variables", () => {
  for (const mirrored of flags) {
    const { command, flag, option } = mirrored;
    const name = option.envVar ?? "no variable";
    it(`${command} ${flag} and ${name} say the same`, () => {
      const expected = `SOCKEYE_${flag.slice(2).toUpperCase().replaceAll("-", "_")}`;
      assert.equal(option.envVar, otherNames[`${command} ${flag}`] ?? expected);
      const value = valueOf(mirrored);
      const byFlag = told(command, isSwitch(option) ? [flag] : [`${flag}=${value}`], {});
      const byVariable = told(command, [], { [name]: isSwitch(option) ? "1" : value });
      assert.deepEqual(byVariable, byFlag);
      const neither = told(command, [], { [name]: isSwitch(option) ? "no" : "" });
      assert.notDeepEqual(byFlag, neither);
    });
  }

  it("a flag outweighs its variable", () => {
    const options = told("run", ["--log-level", "warn"], { SOCKEYE_LOG_LEVEL: "debug" });
    assert.equal(options["logLevel"], "warn");
  });

  it("a switch's variable that says neither yes nor no is refused, and that of another command is not looked at", () => {
    for (const { command, flag, option } of flags) {
      if (!isSwitch(option)) continue;
      const name = option.envVar!;
      assert.throws(
        () => told(command, [], { [name]: "perhaps" }),
        {
          message: `${name} is "perhaps"; write 1 or 0`,
          exitCode: 2,
        },
        flag,
      );
    }
    assert.doesNotThrow(() => told("status", [], { SOCKEYE_WATCH: "perhaps" }));
  });

  it("several networks stand in one variable with commas between", () => {
    const options = told("share", [], { SOCKEYE_ALLOW: "192.0.2.0/24, 198.51.100.7" });
    assert.deepEqual(options["allow"], ["192.0.2.0/24", "198.51.100.7"]);
    assert.throws(() => told("share", [], { SOCKEYE_ALLOW: "192.0.2.0/24,here" }), /"here" is not a network/);
  });

  it("what nothing reads is pointed out, and what is read is not", () => {
    const all = Object.fromEntries(flags.map(({ option }) => [option.envVar!, "1"]));
    const program: Command = newProgram();
    assert.deepEqual(unreadVariables(program, { ...all, SOCKEYE_RUNTIME_DIR: "/run", HOME: "/" }), []);
    assert.deepEqual(
      unreadVariables(program, { SOCKEYE_LOGLEVEL: "x", SOCKEYE_SSH_CRYPTO: "fast", SOCKEYE_UDP: "fast" }),
      [
        "nothing reads SOCKEYE_LOGLEVEL; did you mean SOCKEYE_LOG_LEVEL?",
        'SOCKEYE_SSH_CRYPTO is "fast" and counts for nothing; it may be javascript',
        'SOCKEYE_UDP is "fast" and counts for nothing; it may be node',
      ],
    );
  });

  it("a switch that is off is as if its variable were not there", () => {
    const env: NodeJS.ProcessEnv = { SOCKEYE_JSON: "Off", SOCKEYE_WATCH: "yes" };
    readSwitches(
      newProgram().commands.find((each) => each.name() === "flows")!,
      env,
    );
    assert.deepEqual(env, { SOCKEYE_WATCH: "yes" });
  });

  it("the documentation names each of them", () => {
    const text = readFileSync(new URL("../../docs/operations.md", import.meta.url), "utf8");
    const missing = new Set(flags.map(({ option }) => option.envVar!).filter((name) => !text.includes(name)));
    assert.deepEqual([...missing], []);
  });
});
