/**
 * A browser under the C locale calls its language `en-US@posix`, which Intl refuses; and uPlot asks Intl for it while it is
 * loaded. So this module comes before everything else.
 */
try {
  Intl.getCanonicalLocales(navigator.language);
} catch {
  Object.defineProperty(navigator, "language", { value: "en-US", configurable: true });
}

export {};
