import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultPaths } from "./paths.ts";

test("on Linux the XDG directories decide, and their defaults where they are unset or relative", () => {
  assert.deepEqual(
    defaultPaths({ env: { XDG_CONFIG_HOME: "relative" }, home: "/home/u", platform: "linux" }),
    {
      config: "/home/u/.config/sockeye/config.yaml",
      secretsDirectory: "/home/u/.config/sockeye/secrets",
      stateDirectory: "/home/u/.local/state/sockeye",
      knownHosts: "/home/u/.local/state/sockeye/known_hosts",
      history: "/home/u/.local/state/sockeye/history.db",
    },
  );
  const env = { XDG_CONFIG_HOME: "/c", XDG_STATE_HOME: "/s", XDG_RUNTIME_DIR: "/run/user/1" };
  const paths = defaultPaths({ env, home: "/home/u", platform: "linux" });
  assert.equal(paths.config, "/c/sockeye/config.yaml");
  assert.equal(paths.knownHosts, "/s/sockeye/known_hosts");
});

test("macOS and Windows have their own places", () => {
  const mac = defaultPaths({ env: {}, home: "/Users/u", platform: "darwin" });
  assert.equal(mac.config, "/Users/u/Library/Application Support/Sockeye/config.yaml");
  const env = { APPDATA: "C:\\Users\\u\\AppData\\Roaming", LOCALAPPDATA: "C:\\Users\\u\\AppData\\Local" };
  const windows = defaultPaths({ env, home: "C:\\Users\\u", platform: "win32" });
  assert.equal(windows.config, "C:\\Users\\u\\AppData\\Roaming\\Sockeye\\config.yaml");
  assert.deepEqual(defaultPaths({ env: {}, home: "C:\\Users\\u", platform: "win32" }), windows);
});
