import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { judge, type Sight } from "./condition.ts";
import type { UpstreamStatus } from "./upstream/upstream.ts";

const pool = { size: 1, ready: 0, connecting: 0, active: 0 };
const lastError = { code: "refused", message: "it refused", at: 1 } as const;
const is = (state: UpstreamStatus["state"], error?: typeof lastError): UpstreamStatus => ({
  state,
  pool,
  ...(error && { lastError: error }),
});

function sight(changes: Partial<Sight>): Sight {
  return {
    tun: { state: "off" },
    missing: [],
    listen: { control: { address: "127.0.0.1:0" }, socks5: { address: "127.0.0.1:1080" } },
    upstreams: [],
    configProblems: undefined,
    configFile: "/etc/sockeye.yaml",
    ...changes,
  };
}

describe("the condition", () => {
  it("is connected where nothing was needed yet, and where one upstream is connected", () => {
    for (const states of [[], ["idle"], ["idle", "connected"], ["connecting", "connected"]] as const) {
      const upstreams = states.map((state) => [state, is(state)] as const);
      assert.deepEqual(judge(sight({ upstreams })), { state: "connected" }, states.join());
    }
  });

  it("is connecting while the first upstream that is needed connects", () => {
    assert.deepEqual(judge(sight({ upstreams: [["a", is("connecting")]] })), { state: "connecting" });
  });

  it("is trouble while an upstream fails, also in the moment in which it is tried again", () => {
    for (const state of ["failing", "connecting"] as const) {
      const upstreams = [
        ["good", is("connected")],
        ["bad", is(state, lastError)],
      ] as const;
      assert.deepEqual(judge(sight({ upstreams })), {
        state: "trouble",
        cause: "upstream",
        subject: "bad",
        message: "it refused",
      });
    }
  });

  it("names what concerns most traffic first: TUN mode, a listener, an upstream, the configuration", () => {
    const all = {
      tun: { state: "lost", error: "the helper went away" } as const,
      missing: ["socks5"] as const,
      upstreams: [["bad", is("failing", lastError)]] as const,
      configProblems: [{ line: 3, column: 1, path: "routes", message: "no such upstream" }],
    };
    const seen = [
      judge(sight(all)),
      judge(sight({ ...all, tun: { state: "off" } })),
      judge(sight({ ...all, tun: { state: "off" }, missing: [] })),
      judge(sight({ configProblems: all.configProblems })),
    ];
    assert.deepEqual(
      seen.map((one) => one.state === "trouble" && [one.cause, one.subject, one.message]),
      [
        ["tun", "TUN mode", "the helper went away"],
        ["listener", "socks5 127.0.0.1:1080", "the socks5 listener is gone"],
        ["upstream", "bad", "it refused"],
        ["config", "/etc/sockeye.yaml", "no such upstream (line 3)"],
      ],
    );
  });
});
