import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startSshd } from "../../test/peers/sshd.ts";
import { startChild } from "../child.ts";
import { reachedAt, startOpenSshForward } from "../peers/peers.ts";
import { findPeer } from "../tun/find-peer.ts";
import type { Carrier } from "./carriers.ts";
import { freePorts } from "./showoff.ts";

/*
 * The other relays. Each has a credential, runs with the settings that it comes with, and stands under "clear" or "encrypted" as
 * its link is; where it can be either it is there twice.
 */

type Link = Carrier["link"];

/** rathole: a connection for each visitor. In clear as it comes; Noise is the encryption that needs no files. */
function rathole(link: Link): Carrier {
  return {
    name: link === "clear" ? "rathole" : "rathole, Noise",
    link,
    needs: ["rathole"],
    async start({ origin, approach }, stack) {
      const folder = ownFolder(stack);
      const [control, http, echo] = await freePorts(3);
      const token = randomToken();
      const noise = link === "clear" ? undefined : noiseKeys();
      const transport = (side: string, key: string) =>
        `[${side}.transport]\ntype = "noise"\n[${side}.transport.noise]\n${key}\n`;
      const command = findPeer("rathole")!;
      const env = { ...process.env, RUST_LOG: "error" };
      const run = async (side: "server" | "client", port: number, lines: readonly string[]) => {
        const file = join(folder, `${side}.toml`);
        writeFileSync(file, `[${side}]\ndefault_token = "${token}"\n${lines.join("\n")}\n`);
        return stack.use(await startChild({ command, args: [`--${side}`, file], env, port }));
      };
      const server = await run("server", control, [
        `bind_addr = "127.0.0.1:${control}"`,
        ...(noise ? [transport("server", `local_private_key = "${noise.secret}"`)] : []),
        `[server.services.http]\nbind_addr = "127.0.0.1:${http}"`,
        `[server.services.echo]\nbind_addr = "127.0.0.1:${echo}"`,
      ]);
      const { host, port } = await approach(control);
      const client = await run("client", http, [
        `remote_addr = "${host}:${port}"`,
        ...(noise ? [transport("client", `remote_public_key = "${noise.open}"`)] : []),
        `[client.services.http]\nlocal_addr = "127.0.0.1:${origin.http}"`,
        `[client.services.echo]\nlocal_addr = "127.0.0.1:${origin.echo}"`,
      ]);
      return { byName: undefined, http, echo, children: [server, client] };
    },
  };
}

function noiseKeys(): { readonly secret: string; readonly open: string } {
  const said = execFileSync(findPeer("rathole")!, ["--genkey"], { encoding: "utf8" });
  const key = (which: string) => new RegExp(`${which} Key:\\s*(\\S+)`).exec(said)?.[1];
  const [secret, open] = [key("Private"), key("Public")];
  if (secret === undefined || open === undefined) throw new Error("rathole --genkey told no keys");
  return { secret, open };
}

/** Where bore's server takes clients; neither side can be told another port. */
const BORE_PORT = 7835;

/** bore: a connection for each visitor. It has no encryption. */
const bore: Carrier = {
  name: "bore",
  link: "clear",
  needs: ["bore"],
  async start({ origin, approach }, stack) {
    const [http, echo] = await freePorts(2);
    const env = { ...process.env, RUST_LOG: "error", BORE_SECRET: randomToken() };
    const command = findPeer("bore")!;
    const run = async (args: readonly (string | number)[], port: number) =>
      stack.use(await startChild({ command, args: args.map(String), env, port }));
    const server = await run(["server", "--bind-addr", "127.0.0.1"], BORE_PORT);
    const { host } = await approach(BORE_PORT, 2);
    const publish = (local: number, open: number) =>
      run(["local", local, "--local-host", "127.0.0.1", "--to", host, "--port", open], open);
    const clients = [await publish(origin.http, http), await publish(origin.echo, echo)];
    return { byName: undefined, http, echo, children: [server, ...clients] };
  },
};

/** frp: streams over one connection (yamux). TLS as it comes. */
function frp(link: Link): Carrier {
  return {
    name: link === "clear" ? "frp" : "frp, TLS",
    link,
    needs: ["frps", "frpc"],
    async start({ origin, approach }, stack) {
      const folder = ownFolder(stack);
      const [control, named, http, echo] = await freePorts(4);
      const token = `auth.token = "${randomToken()}"\nlog.level = "error"`;
      const run = async (command: string, port: number, lines: readonly string[]) => {
        const file = join(folder, `${command}.toml`);
        writeFileSync(file, [token, ...lines, ""].join("\n"));
        return stack.use(await startChild({ command: findPeer(command)!, args: ["-c", file], port }));
      };
      const server = await run("frps", control, [
        `bindAddr = "127.0.0.1"\nbindPort = ${control}`,
        `proxyBindAddr = "127.0.0.1"\nvhostHTTPPort = ${named}`,
      ]);
      const at = await approach(control);
      const tcp = (name: string, local: number, open: number) =>
        `[[proxies]]\nname = "${name}"\ntype = "tcp"\nlocalIP = "127.0.0.1"\nlocalPort = ${local}\nremotePort = ${open}`;
      const client = await run("frpc", http, [
        `serverAddr = "${at.host}"\nserverPort = ${at.port}\ntransport.tls.enable = ${link === "encrypted"}`,
        `[[proxies]]\nname = "named"\ntype = "http"\nlocalIP = "127.0.0.1"\nlocalPort = ${origin.http}`,
        `customDomains = ["bench.localhost"]`,
        tcp("http", origin.http, http),
        tcp("echo", origin.echo, echo),
      ]);
      const byName = { port: named, host: "bench.localhost" };
      return { byName, http, echo, children: [server, client] };
    },
  };
}

/** chisel: SSH channels over one WebSocket; it can't be without. */
const chisel: Carrier = {
  name: "chisel, SSH",
  link: "encrypted",
  needs: ["chisel"],
  async start({ origin, approach }, stack) {
    const [control, http, echo] = await freePorts(3);
    const command = findPeer("chisel")!;
    const env = { ...process.env, AUTH: `bench:${randomToken()}` };
    const run = async (args: readonly string[], port: number) =>
      stack.use(await startChild({ command, args, env, port }));
    const server = await run(
      ["server", "--host", "127.0.0.1", "--port", String(control), "--reverse"],
      control,
    );
    const { host, port } = await approach(control);
    const remotes = [
      `R:127.0.0.1:${http}:127.0.0.1:${origin.http}`,
      `R:127.0.0.1:${echo}:127.0.0.1:${origin.echo}`,
    ];
    const client = await run(["client", `http://${host}:${port}`, ...remotes], http);
    return { byName: undefined, http, echo, children: [server, client] };
  },
};

/** `ssh -R`: SSH channels over one connection. */
const openSsh: Carrier = {
  name: "ssh -R",
  link: "encrypted",
  needs: ["ssh"],
  async start({ origin, approach }, stack) {
    const sshd = stack.use(await startSshd({ config: ["LogLevel INFO"] }));
    const [http, echo] = await freePorts(2);
    const { port } = await approach(sshd.port);
    const forwards = [
      { open: http, local: origin.http },
      { open: echo, local: origin.echo },
    ];
    const client = stack.use(await startOpenSshForward(reachedAt(sshd, port), forwards));
    const server = {
      pid: sshd.pid,
      firstLine: "",
      stop: async () => {},
      [Symbol.asyncDispose]: async () => {},
    };
    return { byName: undefined, http, echo, children: [server, client] };
  },
};

export const PEERS: readonly Carrier[] = [
  rathole("clear"),
  bore,
  frp("clear"),
  rathole("encrypted"),
  frp("encrypted"),
  chisel,
  openSsh,
];

function randomToken(): string {
  return randomBytes(16).toString("hex");
}

function ownFolder(stack: AsyncDisposableStack): string {
  const folder = mkdtempSync(join(tmpdir(), "showoff-bench-"));
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
