import js from "@eslint/js";
import tseslint from "typescript-eslint";

/** Imports run one way: wire, config-kit ← engine, relay ← cli, electron. A layer names what it may not know. */
function layer(files, forbidden, reason) {
  return {
    files,
    rules: {
      "no-restricted-imports": [
        "error",
        { patterns: forbidden.map((regex) => ({ regex, message: reason })) },
      ],
    },
  };
}

const io =
  "^(node:)?(net|tls|dgram|http|https|http2|fs|fs/promises|child_process|dns|dns/promises|worker_threads)$";

export default tseslint.config(
  {
    ignores: [
      "**/node_modules/**",
      "**/dist/**",
      "**/build/Release/**",
      "**/.cache/**",
      "**/.vite/**",
      "resources/generated/**",
    ],
  },
  js.configs.recommended,
  { rules: { "no-control-regex": "off" } },
  {
    files: ["**/*.{ts,tsx}"],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      "@typescript-eslint/switch-exhaustiveness-check": [
        "error",
        { considerDefaultExhaustiveForUnions: true },
      ],
      "@typescript-eslint/consistent-type-imports": "error",
      "@typescript-eslint/consistent-type-definitions": "off",
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      "@typescript-eslint/no-non-null-assertion": "off",
      "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true }],
      "@typescript-eslint/unified-signatures": "off",
      "@typescript-eslint/prefer-nullish-coalescing": "off",
      "@typescript-eslint/require-await": "off",
      "@typescript-eslint/no-dynamic-delete": "off",
      "@typescript-eslint/no-empty-function": "off",
      // node:test's own functions return promises that the runner awaits.
      "@typescript-eslint/no-floating-promises": [
        "error",
        {
          allowForKnownSafeCalls: [
            {
              from: "package",
              package: "node:test",
              name: ["test", "it", "describe", "suite", "before", "after", "beforeEach", "afterEach"],
            },
          ],
        },
      ],
      "max-params": "off",
      "@typescript-eslint/max-params": ["error", { max: 4 }],
    },
  },
  {
    files: ["**/*.mjs", "**/*.js"],
    languageOptions: {
      globals: {
        process: "readonly",
        console: "readonly",
        performance: "readonly",
        URL: "readonly",
        Buffer: "readonly",
        setTimeout: "readonly",
        clearTimeout: "readonly",
      },
    },
  },
  layer(
    ["wire/src/**/*.ts"],
    ["^@sockeye/", io],
    "wire is codecs without I/O: it knows no other part of the project and no socket",
  ),
  layer(
    ["link/src/**/*.ts"],
    ["^@sockeye/(config-kit|engine|relay|cli|electron|renderer)", "^electron$"],
    "the link is what relay and client have in common: it knows wire, and neither of the two",
  ),
  layer(
    ["config-kit/src/**/*.ts"],
    ["^@sockeye/"],
    "config-kit reads configuration files for the engine and the relay: it knows no other part of the project",
  ),
  layer(
    ["engine/src/**/*.ts"],
    ["^@sockeye/(cli|demo|relay|electron|renderer)", "^electron$"],
    "the engine knows neither its faces nor Electron",
  ),
  layer(
    ["demo/src/**/*.ts"],
    ["^@sockeye/(cli|electron|renderer)", "^electron$"],
    "the demo is an engine's far side, a relay included: whoever hosts an engine may start it",
  ),
  layer(
    ["renderer/src/**/*.{ts,tsx}"],
    [
      "^node:",
      "^electron$",
      "^@sockeye/(cli|relay|electron|wire)",
      "^@sockeye/engine(/(?!control/(contract|protocol|control-error|message-port|browser-client)$)|$)",
    ],
    "the interface knows the control contract alone",
  ),
  {
    files: ["**/src/**/*.{ts,tsx}"],
    rules: {
      "no-restricted-syntax": [
        "error",
        {
          selector:
            "CallExpression[callee.property.name=/^(off|removeListener|removeEventListener)$/] > CallExpression[callee.property.name='bind'].arguments",
          message: "bind makes another function than the one that listens: this takes nothing away",
        },
        {
          selector:
            "CallExpression[callee.property.name=/^(off|removeListener|removeEventListener)$/] > :matches(ArrowFunctionExpression, FunctionExpression).arguments",
          message: "a new function is not the one that listens: this takes nothing away",
        },
      ],
    },
  },
  layer(
    ["electron/src/**/*.ts"],
    ["^@sockeye/(cli|relay)", "^@sockeye/renderer/(?!desktop/(contract|names)$)"],
    "the shell knows the engine and the contract with the interface",
  ),
  layer(
    ["engine/src/router/**/*.ts"],
    ["^electron$", "^@sockeye/(cli|relay)", io],
    "the router decides; it opens nothing",
  ),
  layer(
    ["engine/src/netstack/**/*.ts"],
    ["^electron$", "^@sockeye/(cli|relay)", io],
    "the netstack is packets and time in, packets out; it opens nothing",
  ),
  layer(
    ["relay/src/**/*.ts"],
    ["^@sockeye/(cli|engine|electron|renderer)", "^electron$"],
    "the relay knows neither its command nor the engine; what both need is below both",
  ),
  layer(
    ["relay/src/{names,limits}/**/*.ts"],
    ["^@sockeye/(cli|engine|electron|renderer)", "^electron$", io],
    "names and limits decide; they open nothing",
  ),
  {
    files: ["**/*.test.{ts,tsx,mjs}", "engine/src/netstack/**/test-*.ts"],
    rules: { "no-restricted-imports": "off" },
  },
);
