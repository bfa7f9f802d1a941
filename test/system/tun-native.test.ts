import { join } from "node:path";
import { test } from "node:test";
import { assertNativeCheck } from "../peers/native-check.ts";
import { skipWithout } from "../peers/peer-process.ts";

const FOLDER = join(import.meta.dirname, "../../native/tun");

test(
  "native code cuts packets and sums them as a plain reference does, and touches no byte beyond",
  { skip: process.platform === "win32" ? "the sanitizers are g++'s and clang's" : skipWithout("c++") },
  () => assertNativeCheck(FOLDER, ["check.cc", "segment.cc", "checksum.cc"]),
);
