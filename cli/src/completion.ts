import { Argument, type Command, type Option } from "commander";
import type { Register } from "./context.ts";
import { chosenConfig, configOption } from "./options.ts";
import { print } from "./output.ts";

const shells = ["bash", "zsh", "fish"] as const;
type Shell = (typeof shells)[number];

/** `sockeye completion SHELL`, and the hidden command that its scripts ask for upstreams' names. */
export const registerCompletion: Register = (program) => {
  program
    .command("completion")
    .description("print the completion script for a shell")
    .addArgument(new Argument("<shell>", "the shell").choices(shells))
    .addHelpText(
      "after",
      `
bash:  source <(sockeye completion bash)                 in ~/.bashrc
zsh:   source <(sockeye completion zsh)                  in ~/.zshrc, after compinit
fish:  sockeye completion fish | source                  in ~/.config/fish/config.fish`,
    )
    .action((shell: Shell) => print(script(shell, describeProgram(program))));

  program
    .command("complete-upstreams", { hidden: true })
    .addOption(configOption())
    .action(async (options: { config?: string }) => {
      const file = chosenConfig(options.config);
      if (file === undefined) return;
      const { readConfiguration } = await import("./config-file.ts");
      // A shell that completes shows no errors: a file that can't be read has no names.
      const loaded = await readConfiguration(file).catch(() => undefined);
      if (loaded !== undefined && "config" in loaded) print(Object.keys(loaded.config.upstreams).join("\n"));
    });
};

/** What follows a flag or stands as an argument. */
type Value =
  { kind: "none" | "file" | "upstream" | "other" } | { kind: "choice"; choices: readonly string[] };

interface Flag {
  readonly long: string;
  readonly short: string | undefined;
  readonly description: string;
  readonly value: Value;
}

interface Described {
  readonly name: string;
  readonly description: string;
  readonly flags: readonly Flag[];
  readonly argument: Value;
}

/** The tree of commands as a completion needs it. */
function describeProgram(program: Command): Described[] {
  return program.commands
    .filter((command) => command.name() !== "complete-upstreams")
    .map((command) => {
      const help = command.createHelp();
      const argument = command.registeredArguments[0];
      return {
        name: command.name(),
        description: command.description(),
        flags: help.visibleOptions(command).map(describeFlag),
        argument:
          argument === undefined
            ? { kind: "none" }
            : valueOf(argument.name(), argument.argChoices ?? undefined),
      };
    });
}

function describeFlag(option: Option): Flag {
  const value: Value = option.required
    ? valueOf(placeholder(option), option.argChoices ?? undefined)
    : { kind: "none" };
  return { long: option.long ?? "", short: option.short, description: option.description, value };
}

/** `--config <file>` → file, `--upstream <name>` → upstream. */
function placeholder(option: Option): string {
  return option.long === "--upstream" ? "upstream" : (/<(.+)>/.exec(option.flags)?.[1] ?? "");
}

function valueOf(name: string, choices: readonly string[] | undefined): Value {
  if (choices !== undefined) return { kind: "choice", choices };
  if (name === "file" || name === "upstream") return { kind: name };
  return { kind: "other" };
}

function script(shell: Shell, commands: readonly Described[]): string {
  switch (shell) {
    case "bash":
      return bashScript(commands);
    case "zsh":
      return zshScript(commands);
    case "fish":
      return fishScript(commands);
  }
}

const words = (list: readonly string[]) => list.join(" ");
/** For a single-quoted string of any of the three shells; no description needs more than this. */
const quote = (text: string) => `'${text.replaceAll("'", "’")}'`;

function flagWords(command: Described): string {
  return words(command.flags.flatMap(({ long, short }) => (short === undefined ? [long] : [long, short])));
}

function bashScript(commands: readonly Described[]): string {
  const flags = new Map(commands.flatMap((command) => command.flags).map((flag) => [flag.long, flag]));
  const afterFlag = [...flags.values()]
    .filter(({ value }) => value.kind !== "none")
    .map(({ long, value }) => `    ${long}) ${bashReply(value)}; return ;;`);
  const perCommand = commands.map(
    (command) =>
      `    ${command.name})\n` +
      `      if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W "${flagWords(command)}" -- "$cur"))\n` +
      `      else ${bashReply(command.argument)}; fi ;;`,
  );
  return `# bash completion for sockeye
_sockeye_upstreams() {
  local i config=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    [[ \${COMP_WORDS[i]} == --config ]] && config=(--config "\${COMP_WORDS[i + 1]/#\\~/$HOME}")
  done
  sockeye complete-upstreams "\${config[@]}" 2>/dev/null
}
_sockeye() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD - 1]} command= i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    case \${COMP_WORDS[i]} in
      ${commands.map(({ name }) => name).join("|")}) command=\${COMP_WORDS[i]}; break ;;
    esac
  done
  case $prev in
${afterFlag.join("\n")}
  esac
  case $command in
    "") COMPREPLY=($(compgen -W "${words(commands.map(({ name }) => name))} help --help --version" -- "$cur")) ;;
${perCommand.join("\n")}
  esac
}
complete -F _sockeye sockeye`;
}

function bashReply(value: Value): string {
  switch (value.kind) {
    case "choice":
      return `COMPREPLY=($(compgen -W "${words(value.choices)}" -- "$cur"))`;
    case "file":
      return `compopt -o filenames 2>/dev/null; local IFS=$'\\n'; COMPREPLY=($(compgen -f -- "$cur"))`;
    case "upstream":
      return `COMPREPLY=($(compgen -W "$(_sockeye_upstreams)" -- "$cur"))`;
    case "none":
    case "other":
      return "COMPREPLY=()";
  }
}

function zshScript(commands: readonly Described[]): string {
  const escape = (text: string) => text.replaceAll(/[[\]:\\]/g, "\\$&").replaceAll("'", "’");
  const list = commands.map(({ name, description }) => `    ${quote(`${name}:${escape(description)}`)}`);
  const perCommand = commands.map((command) => {
    const specs = command.flags.map(({ long, short, description, value }) => {
      const what = `[${escape(description)}]${zshAction(value)}`;
      return short === undefined
        ? `        '${long}${what}'`
        : `        '(${short} ${long})'{${short},${long}}'${what}'`;
    });
    if (command.argument.kind !== "none") specs.push(`        '1${zshAction(command.argument)}'`);
    return `      ${command.name})\n      _arguments -s \\\n${specs.join(" \\\n")} ;;`;
  });
  return `#compdef sockeye
_sockeye_upstreams() {
  local -a config names
  local at=\${words[(i)--config]}
  (( at < \${#words} )) && config=(--config \${~words[at + 1]})
  names=(\${(f)"$(sockeye complete-upstreams $config 2>/dev/null)"})
  compadd -a names
}
_sockeye() {
  local -a commands
  commands=(
${list.join("\n")}
  )
  local curcontext=$curcontext state line
  _arguments -C '(- *)'{-V,--version}'[print the version]' '(- *)'{-h,--help}'[print the help]' \\
    '1: :->command' '*:: :->arguments'
  case $state in
    command) _describe command commands ;;
    arguments)
      case $line[1] in
${perCommand.join("\n")}
      esac ;;
  esac
}
compdef _sockeye sockeye`;
}

function zshAction(value: Value): string {
  switch (value.kind) {
    case "none":
      return "";
    case "choice":
      return `:value:(${words(value.choices)})`;
    case "file":
      return ":file:_files";
    case "upstream":
      return ":upstream:_sockeye_upstreams";
    case "other":
      return ":value: ";
  }
}

function fishScript(commands: readonly Described[]): string {
  const lines = commands.flatMap((command) => {
    const inside = `-n '__fish_seen_subcommand_from ${command.name}'`;
    const flags = command.flags.map(({ long, short, description, value }) => {
      const letter = short === undefined ? "" : ` -s ${short.slice(1)}`;
      return `complete -c sockeye ${inside}${letter} -l ${long.slice(2)} -d ${quote(description)}${fishValue(value)}`;
    });
    const argument =
      command.argument.kind === "none" || command.argument.kind === "other"
        ? []
        : [`complete -c sockeye ${inside}${fishArgument(command.argument)}`];
    return [...flags, ...argument];
  });
  const names = commands.map(({ name }) => name);
  const none = `-n 'not __fish_seen_subcommand_from ${words(names)}'`;
  const list = commands.map(
    ({ name, description }) => `complete -c sockeye ${none} -a ${name} -d ${quote(description)}`,
  );
  return `# fish completion for sockeye
function __sockeye_upstreams
  set -l words (commandline -opc)
  set -l at (contains -i -- --config $words)
  set -l config
  test -n "$at"; and set config --config (string replace -r '^~' $HOME -- $words[(math $at + 1)])
  sockeye complete-upstreams $config 2>/dev/null
end
complete -c sockeye -f
complete -c sockeye ${none} -s V -l version -d 'print the version'
complete -c sockeye ${none} -s h -l help -d 'print the help'
${list.join("\n")}
${lines.join("\n")}`;
}

function fishValue(value: Value): string {
  switch (value.kind) {
    case "none":
      return "";
    case "other":
      return " -x";
    case "choice":
      return ` -x -a ${quote(words(value.choices))}`;
    case "file":
      return " -r -F";
    case "upstream":
      return " -x -a '(__sockeye_upstreams)'";
  }
}

function fishArgument(value: Value): string {
  return value.kind === "file" ? " -F" : fishValue(value).replace(" -x", "");
}
