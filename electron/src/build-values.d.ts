/** What the bundler puts in (electron/vite). */

/** Of the helper's program as it was built, in hexadecimal; empty where this build has none, or it is signed later. */
declare const HELPER_SHA256: string;
/** Where people tell of problems; empty where package.json has no `bugs`. */
declare const ISSUES_ADDRESS: string;

declare module "*?raw" {
  const text: string;
  export default text;
}
