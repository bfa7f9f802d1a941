import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { createServer, type Server } from "node:tls";
import type { AddressInfo, Socket } from "node:net";
import { rmSync } from "node:fs";
import { makeCertificate, readCertificate, type CertificateFiles } from "../../../test/peers/certificates.ts";
import { dialFailure, soon, until } from "../../../test/peers/exercise.ts";
import { makePeerFolder, skipWithout } from "../../../test/peers/peer-process.ts";
import { httpTo } from "../../../test/peers/upstreams.ts";

const target = { host: "target.example", port: 443 };

describe("TLS to a proxy", { skip: skipWithout("openssl") }, () => {
  let folder: string;
  before(() => {
    folder = makePeerFolder("tls");
  });
  after(() => rmSync(folder, { recursive: true }));

  /** A TLS server with this certificate that answers CONNECT and says the name it was called by. */
  async function startProxy(files: CertificateFiles) {
    const sockets = new Set<Socket>();
    const server: Server = createServer(
      { ...readCertificate(files), ALPNProtocols: ["http/1.1"] },
      (socket) => {
        sockets.add(socket);
        socket.on("close", () => sockets.delete(socket)).on("error", () => socket.destroy());
        const name = socket.servername === false ? "no name" : String(socket.servername);
        socket.once("data", () => socket.write(`HTTP/1.1 200 OK\r\n\r\n${name}`));
        socket.on("end", () => socket.end());
      },
    );
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const stop = async () => {
      await until(() => sockets.size === 0, "no connection left");
      await new Promise((resolve) => server.close(resolve));
    };
    return { host: "127.0.0.1", port: (server.address() as AddressInfo).port, stop };
  }

  it("sends the name, and hands over early bytes", async () => {
    const files = makeCertificate(folder, ["proxy.example"]);
    const proxy = await startProxy(files);
    const config = { tls: true, tls_ca_file: files.caFile, tls_server_name: "proxy.example", pool_size: 1 };
    const upstream = httpTo(proxy, { config });
    for (let i = 0; i < 2; i++) {
      const stream = await upstream.dial(target, { signal: soon() });
      stream.end();
      let all = "";
      for await (const chunk of stream) all += String(chunk);
      assert.equal(all, "proxy.example");
      await until(() => upstream.status().pool.ready === 1, "a warm connection");
    }
    await upstream.close(0);
    await proxy.stop();
  });

  it("says that a certificate has expired", async () => {
    const files = makeCertificate(folder, ["IP:127.0.0.1"], -1);
    const proxy = await startProxy(files);
    const upstream = httpTo(proxy, { config: { tls: true, tls_ca_file: files.caFile } });
    const failure = await dialFailure(upstream, target);
    assert.equal(`${failure.code} ${failure.scope} ${failure.step}`, "tls upstream tls");
    assert.match(failure.message, /expired/);
    await upstream.close(0);
    await proxy.stop();
  });

  it("says that a certificate is self-signed, and that the file of authorities can't be read", async () => {
    const made = makeCertificate(folder, ["IP:127.0.0.1"]);
    const selfSigned = { ...made, certFile: made.caFile, keyFile: made.caFile.replace("ca.pem", "ca.key") };
    const proxy = await startProxy(selfSigned);
    const upstream = httpTo(proxy, { config: { tls: true } });
    assert.match((await dialFailure(upstream, target)).message, /self-signed.*tls_ca_file/);
    const unread = httpTo(proxy, { config: { tls: true, tls_ca_file: `${folder}/none.pem` } });
    const failure = await dialFailure(unread, target);
    assert.equal(failure.code, "tls");
    assert.match(failure.message, /tls_ca_file can't be used/);
    await Promise.all([upstream.close(0), unread.close(0)]);
    await proxy.stop();
  });
});
