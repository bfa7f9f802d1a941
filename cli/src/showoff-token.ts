import { chmod, rename, rm, stat, writeFile } from "node:fs/promises";
import { type Command, InvalidArgumentError, Option } from "commander";
import { readConfigText } from "@sockeye/config-kit/read-text";
import type { PortRange } from "@sockeye/relay/auth/authoriser";
import { issueToken, withEntry, withoutEntry } from "@sockeye/relay/auth/tokens-edit";
import { type TokenEntry, parseTokensFile } from "@sockeye/relay/auth/tokens-file";
import { namePatterns, portRanges } from "@sockeye/relay/config/values";
import { CommandFailure, ExitCode } from "./exit-codes.ts";
import { print, table } from "./output.ts";

/** `showoff token`: making, listing and revoking the tokens that a relay's clients show. A running relay follows the file. */
export function registerToken(program: Command): void {
  const token = program.command("token").description("The tokens of a relay's clients.");
  token
    .command("create")
    .description("Makes a token. It is printed once; the file holds its hash.")
    .requiredOption("--identity <name>", "who it is for; owns the names", readIdentity)
    .option(
      "--names <patterns>",
      'names it may publish, such as demo or "demo-*", with commas between them',
      readNames,
    )
    .option("--ports <ranges>", "TCP ports it may publish, such as 2000-2100", readPorts)
    .option("--expires <date>", "when it ends, such as 2030-01-31", readDate)
    .addOption(fileOption())
    .action(create);
  token
    .command("list")
    .description("Lists the tokens of a file.")
    .addOption(fileOption().makeOptionMandatory())
    .action(list);
  token
    .command("revoke")
    .description("Takes a token out of the file. What runs through it ends at once.")
    .argument("<id>", "the token's id: the part after showoff_", readId)
    .addOption(fileOption().makeOptionMandatory())
    .action(revoke);
}

interface CreateOptions {
  readonly identity: string;
  readonly names?: readonly string[];
  readonly ports?: readonly PortRange[];
  readonly expires?: string;
  readonly tokensFile?: string;
}

function fileOption(): Option {
  return new Option("--tokens-file <file>", "the relay's tokens file").env("SHOWOFF_AUTH_TOKENS_FILE");
}

async function create({ tokensFile, names = [], ports = [], ...who }: CreateOptions): Promise<void> {
  const wish = { ...who, names, ports };
  if (wish.names.length === 0 && wish.ports.length === 0) {
    throw new CommandFailure(
      ExitCode.usage,
      "a token without --names and --ports is good for nothing; give one of them",
    );
  }
  const { token, line } = issueToken(wish);
  if (tokensFile === undefined) {
    print(`${token}\n\nits line, below "tokens:" in the tokens file:\n${line}`);
    return;
  }
  const before = await readIfThere(tokensFile);
  await replace(tokensFile, before, withEntry(before ?? "", line));
  print(token);
}

async function list({ tokensFile }: { readonly tokensFile: string }): Promise<void> {
  const entries = parse(tokensFile, await readExisting(tokensFile));
  const rows = entries.map(({ id, identity, names, ports, expires }) => {
    const ranges = ports.map(({ low, high }) => (low === high ? `${low}` : `${low}-${high}`));
    return [id, identity, names.join(), ranges.join(), expires ?? "never"];
  });
  print(table(["ID", "IDENTITY", "NAMES", "PORTS", "ENDS"], rows));
}

async function revoke(id: string, { tokensFile }: { readonly tokensFile: string }): Promise<void> {
  const before = await readExisting(tokensFile);
  if (!parse(tokensFile, before).some((entry) => entry.id === id))
    throw new CommandFailure(ExitCode.failed, `${tokensFile} has no token ${id}`);
  const after = withoutEntry(before, id);
  if (after === undefined) {
    const message = `the token ${id} stands on more than one line of ${tokensFile}; take it out by hand`;
    throw new CommandFailure(ExitCode.failed, message);
  }
  await replace(tokensFile, before, after);
  print(`revoked ${id}`);
}

function parse(file: string, text: string): TokenEntry[] {
  try {
    return parseTokensFile(file, text);
  } catch (error) {
    throw new CommandFailure(ExitCode.config, (error as Error).message);
  }
}

async function readExisting(file: string): Promise<string> {
  const text = await readIfThere(file);
  if (text === undefined) throw new CommandFailure(ExitCode.config, `${file} does not exist`);
  return text;
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readConfigText(file);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return undefined;
    throw new CommandFailure(ExitCode.config, `${file} can't be read: ${code}`);
  }
}

/** The new text takes the file's place in one step: a relay that reads it meanwhile sees the one or the other. */
async function replace(file: string, before: string | undefined, after: string): Promise<void> {
  parse(file, after);
  const draft = `${file}.${process.pid}.new`;
  try {
    await writeFile(draft, after, { mode: 0o600, flag: "wx" });
    if (before !== undefined) await chmod(draft, (await stat(file)).mode & 0o777);
    await rename(draft, file);
  } catch (error) {
    await rm(draft, { force: true });
    throw new CommandFailure(
      ExitCode.failed,
      `${file} can't be written: ${(error as NodeJS.ErrnoException).code}`,
    );
  }
}

function readIdentity(text: string): string {
  if (/^[\w.@-]{1,64}$/.test(text)) return text;
  throw new InvalidArgumentError("an identity is up to 64 letters, digits and . _ @ -");
}

function readId(text: string): string {
  const id = text.replace(/^showoff_/, "").slice(0, 12);
  if (/^[a-z0-9]{12}$/.test(id)) return id;
  throw new InvalidArgumentError("a token's id has 12 letters and digits");
}

function readDate(text: string): string {
  const end = Date.parse(text);
  if (Number.isNaN(end)) throw new InvalidArgumentError(`"${text}" is no date; write one such as 2030-01-31`);
  if (end <= Date.now()) throw new InvalidArgumentError(`${text} is past: the token would never be accepted`);
  return text;
}

function readNames(text: string): string[] {
  const { data } = namePatterns.safeParse(text);
  if (data !== undefined) return data;
  throw new InvalidArgumentError(`"${text}" must be names or patterns, such as demo or "team-*"`);
}

function readPorts(text: string): PortRange[] {
  const { data } = portRanges.safeParse(text);
  if (data !== undefined) return data;
  throw new InvalidArgumentError(`"${text}" must be ports from 1 to 65535 or ranges, such as 2000-2100`);
}
