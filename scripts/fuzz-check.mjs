// fast-check, with an assert() that goes on until its time is over.
import fc from "fast-check";

const unlimited = { numRuns: 1_000_000_000, interruptAfterTimeLimit: Number(process.env.SOCKEYE_FUZZ_MS) };

export default {
  ...fc,
  assert: (property, parameters) => fc.assert(property, { ...parameters, ...unlimited }),
};
