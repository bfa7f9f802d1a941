// Makes a fuzz run of every property test: each goes on trying new inputs for SOCKEYE_FUZZ_MS milliseconds, whatever number of
// runs it asks for. `SOCKEYE_FUZZ_MS=30000 npm test -- wire/ dns/ ssh/` is one of the codecs.
import { registerHooks } from "node:module";

const inPlaceOf = new URL("fuzz-check.mjs", import.meta.url).href;

registerHooks({
  resolve(specifier, context, next) {
    const isForTests = specifier === "fast-check" && context.parentURL !== inPlaceOf;
    return isForTests ? { url: inPlaceOf, shortCircuit: true } : next(specifier, context);
  },
});
