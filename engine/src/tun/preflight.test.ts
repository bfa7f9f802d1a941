import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { parseNetwork } from "../router/pattern.ts";
import { type LocalNetwork, type NetworkKind, readLocalNetworks } from "./local-networks.ts";
import { findOverlaps } from "./preflight.ts";

const linuxOnly = process.platform === "linux" ? false : "the kernel's tables are read on Linux";
const folder = mkdtempSync(join(tmpdir(), "sockeye-preflight-"));
after(() => rmSync(folder, { recursive: true }));

function local(text: string, device: string, kind: NetworkKind): LocalNetwork {
  return { network: parseNetwork(text), text, interface: device, kind };
}

const lan = local("10.3.0.0/24", "eth0", "local");
const docker = local("172.17.0.0/16", "docker0", "container");
const vpn = local("10.9.0.0/16", "wg0", "vpn");
const lan6 = local("fd00:7::/64", "eth0", "local");

function overlapping(cidrs: readonly string[], exclude: readonly string[] = []): string[] {
  const tun = { cidrs, exclude };
  return findOverlaps(tun, [lan, docker, vpn, lan6]).map(({ cidr, network }) => `${cidr} ${network}`);
}

test("a captured network that holds one of this machine's, or lies in it, is told of", () => {
  assert.deepEqual(overlapping(["10.0.0.0/8"]), ["10.0.0.0/8 10.3.0.0/24", "10.0.0.0/8 10.9.0.0/16"]);
  assert.deepEqual(overlapping(["10.9.8.0/24"]), ["10.9.8.0/24 10.9.0.0/16"]);
  assert.deepEqual(overlapping(["192.168.0.0/16"]), []);
  assert.deepEqual(overlapping(["fd00::/8"]), ["fd00::/8 fd00:7::/64"]);
});

test("what is excluded is not told of", () => {
  assert.deepEqual(overlapping(["10.0.0.0/8"], ["10.3.0.0/16"]), ["10.0.0.0/8 10.9.0.0/16"]);
});

test("a part that is excluded does not silence the rest of the overlap", () => {
  assert.deepEqual(overlapping(["10.9.0.0/16"], ["10.9.1.0/24"]), ["10.9.0.0/16 10.9.0.0/16"]);
});

test("everything captured means the local network too, and tells of VPNs and containers only", () => {
  assert.deepEqual(overlapping(["0.0.0.0/0", "::/0"]), ["0.0.0.0/0 172.17.0.0/16", "0.0.0.0/0 10.9.0.0/16"]);
});

test("the sentence says whose network it is and what to do", () => {
  const [overlap] = findOverlaps({ cidrs: ["172.16.0.0/12"], exclude: [] }, [docker]);
  assert.equal(
    overlap?.message,
    "tun.cidrs: 172.16.0.0/12 also captures the container or virtual machine network 172.17.0.0/16 (docker0); " +
      "to leave that alone, add 172.17.0.0/16 to tun.exclude",
  );
});

test("routing tables that are missing or strange give no networks", { skip: linuxOnly }, () => {
  assert.deepEqual(readLocalNetworks("sockeye0", join(folder, "nothing")), []);
  mkdirSync(join(folder, "odd/proc/net"), { recursive: true });
  writeFileSync(join(folder, "odd/proc/net/route"), "Iface\tDestination\n\n  \nx\ny z\n");
  writeFileSync(join(folder, "odd/proc/net/ipv6_route"), "zz\nfd00 40\n");
  assert.deepEqual(readLocalNetworks("sockeye0", join(folder, "odd")), []);
});

const world = `
  mount -t sysfs none /sys
  ip link set lo up
  ip link add docker0 type bridge && ip addr add 172.17.0.1/16 dev docker0 && ip link set docker0 up
  ip link add eth0 type veth peer name far
  ip addr add 10.3.0.5/24 dev eth0 && ip -6 addr add fd00:7::2/64 dev eth0 nodad && ip link set eth0 up && ip link set far up
  ip route add 192.168.50.0/24 via 10.3.0.1 && ip route add default via 10.3.0.1
  ip route add unreachable 10.66.0.0/16
  ip tuntap add dev corp mode tun && ip addr add 10.9.0.1/24 dev corp && ip link set corp up
  ip tuntap add dev sockeye0 mode tun && ip addr add 10.8.0.1/24 dev sockeye0 && ip link set sockeye0 up
`;

/** The networks as they are found in a network namespace of our own. */
function networksInWorld(): string[] {
  const module = fileURLToPath(new URL("local-networks.ts", import.meta.url));
  const code = `import(${JSON.stringify(module)}).then(({ readLocalNetworks }) => console.log(JSON.stringify(
    readLocalNetworks("sockeye0").map((one) => [one.kind, one.text, one.interface].join(" ")))))`;
  const script = `set -e${world}exec "$@"`;
  const namespaces = ["--user", "--map-root-user", "--net", "--mount"];
  const command = ["bash", "-c", script, "world", process.execPath, "-e", code];
  return JSON.parse(execFileSync("unshare", [...namespaces, ...command], { encoding: "utf8" })) as string[];
}

function whyNoWorld(): string | false {
  if (linuxOnly !== false) return linuxOnly;
  try {
    const script = "mount -t sysfs none /sys && ip link add b0 type bridge && ip tuntap add dev t0 mode tun";
    execFileSync("unshare", ["--user", "--map-root-user", "--net", "--mount", "bash", "-c", script], {
      stdio: ["ignore", "ignore", "pipe"],
      encoding: "utf8",
    });
    return false;
  } catch (error) {
    return `no network namespace with a bridge and a TUN device: ${(error as Error).message}`;
  }
}

test(
  "the kernel's own tables: networks, containers and VPNs are told apart, our device left out",
  { skip: whyNoWorld() },
  () => {
    assert.deepEqual(networksInWorld().toSorted(), [
      "container 172.17.0.0/16 docker0",
      "local 10.3.0.0/24 eth0",
      "local 192.168.50.0/24 eth0",
      "local fd00:7::/64 eth0",
      "vpn 10.9.0.0/24 corp",
    ]);
  },
);
