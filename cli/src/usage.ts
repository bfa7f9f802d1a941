import type { CommanderError } from "commander";

/** commander's sentence about a wrong command line, as one of ours. */
export function describeUsage(error: CommanderError): string {
  const plain = error.message.replace(/^error: /, "");
  if (error.code === "commander.invalidArgument") return describeValue(plain);
  const [sentence = "", suggestion] = plain.split("\n");
  const asked = /^\(Did you mean (.*)\?\)$/.exec(suggestion ?? "");
  const advice = asked === null ? "--help says what there is" : `did you mean ${asked[1]}?`;
  return `${sentence.replace(/\.$/, "")}; ${advice}`;
}

/** Where commander may have found a wrong value; each is followed by what a parser said of it. */
const wheres = [
  /^option '.*?--(?<flag>[\w-]+).*?' argument '(?<value>.*)' is invalid\. (?<said>.*)$/s,
  /^option '.*?' value '(?<value>.*)' from env '(?<variable>\w+)' is invalid\. (?<said>.*)$/s,
  /^command-argument value '(?<value>.*)' is invalid for argument '(?<argument>.*?)'\. (?<said>.*)$/s,
];

/** `--log-level: "loud" is not one of trace, debug, info` */
function describeValue(sentence: string): string {
  for (const where of wheres) {
    const found = where.exec(sentence)?.groups;
    if (found === undefined) continue;
    const { flag, variable, argument, value = "", said = "" } = found;
    const place = flag === undefined ? (variable ?? `<${argument}>`) : `--${flag}`;
    const choices = /^Allowed choices are (.*)\.$/.exec(said);
    return `${place}: ${choices === null ? said : `"${value}" is not one of ${choices[1]}`}`;
  }
  return sentence;
}
