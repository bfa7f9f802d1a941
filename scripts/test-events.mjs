// The reporter inside each test file's process: hands what happens to scripts/test.mjs, which counts.

/** Only plain values cross the process border; an error goes as the text that a person reads. */
function plain({ type, data }) {
  const { name, nesting, file, line, skip, todo, details } = data;
  const error = details?.error;
  return {
    type,
    name,
    nesting,
    place: file === undefined ? "" : `${file}:${line}`,
    skip,
    todo,
    isSuite: details?.type === "suite",
    milliseconds: details?.duration_ms,
    failureType: error?.failureType,
    error: error === undefined ? undefined : describe(error.cause ?? error),
  };
}

function describe(cause) {
  if (!(cause instanceof Error)) return String(cause);
  const text = cause.stack ?? `${cause.name}: ${cause.message}`;
  const root = cause.cause;
  return root instanceof Error ? `${text}\ncaused by ${describe(root)}` : text;
}

const counted = new Set(["test:dequeue", "test:complete", "test:pass", "test:fail"]);

/** An error thrown after its test has ended is no failure of a test; node:test only tells of it. */
function isLateError({ type, data }) {
  return type === "test:diagnostic" && /^(Error|Warning):/.test(data.message);
}

export default async function* events(source) {
  for await (const event of source) {
    if (counted.has(event.type)) process.send?.(plain(event));
    else if (isLateError(event)) yield `${event.data.message}\n`;
  }
}
