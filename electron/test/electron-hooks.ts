/** Gives a bundle of the main process the stub in place of Electron. */
import { registerHooks } from "node:module";

registerHooks({
  resolve: (specifier, context, next) =>
    /^electron(\/|$)/.test(specifier)
      ? { url: new URL("electron-main.ts", import.meta.url).href, shortCircuit: true }
      : next(specifier, context),
});
