/** `${NAME}` in `text` replaced by the environment's values; `$${` is the text `${`. */
export function expandEnvironment(
  text: string,
  environment: Readonly<Record<string, string | undefined>>,
): {
  readonly text: string;
  readonly faults: readonly EnvironmentFault[];
  /** What each variable stood for, by name. */
  readonly values: ReadonlyMap<string, string>;
} {
  const values = new Map<string, string>();
  if (!text.includes("${")) return { text, faults: [], values };
  const faults: EnvironmentFault[] = [];
  const expanded = text.replace(reference, (written: string, ...groups: unknown[]) => {
    if (written === "$${") return "${";
    const name = typeof groups[0] === "string" ? groups[0] : undefined;
    if (name === undefined) {
      faults.push({
        written,
        message: '"${" begins a variable, written ${NAME}; write $${ where the text itself is meant',
      });
      return "";
    }
    const value = environment[name];
    if (value === undefined) {
      faults.push({ written, message: `the environment variable ${name} is not set` });
      return "";
    }
    values.set(name, value);
    return value;
  });
  return { text: expanded, faults, values };
}

export interface EnvironmentFault {
  /** The reference as it stands in the file, to point at it. */
  readonly written: string;
  readonly message: string;
}

const reference = /\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\$\{/g;
