import assert from "node:assert/strict";
import { once } from "node:events";
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, connect as connectPlain, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type ConnectionOptions, type TLSSocket, connect } from "node:tls";
import { type CertificateFiles, makeCertificate } from "../../../test/peers/certificates.ts";
import type { CertificateInForce } from "../observer.ts";
import { TlsContexts, type TlsFiles, certificateIdentity } from "./contexts.ts";

async function folder(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "showoff-tls-"));
  t.after(() => rm(path, { recursive: true }));
  return path;
}

async function certificateFor(
  t: TestContext,
  names: readonly string[],
  days?: number,
): Promise<CertificateFiles> {
  return makeCertificate(await folder(t), names, days);
}

/** What has been told, and a way to wait for the next. */
class Told {
  readonly reloads: (readonly string[])[] = [];
  readonly problems: string[] = [];
  #wake = () => {};
  readonly watchers = {
    onReload: (certificates: readonly CertificateInForce[]) => {
      for (const { validUntil } of certificates) assert.ok(validUntil.getTime() > Date.now());
      this.reloads.push(certificates.flatMap(({ names }) => names));
      this.#wake();
    },
    onProblem: (sentence: string) => {
      this.problems.push(sentence);
      this.#wake();
    },
  };

  next(): Promise<void> {
    return new Promise((resolve) => (this.#wake = resolve));
  }
}

interface Listening {
  readonly told: Told;
  readonly port: number;
  readonly accepted: (string | undefined)[];
}

/** A plain listener that hands its connections over, as the relay's do. */
async function listening(t: TestContext, files: TlsFiles): Promise<Listening> {
  const told = new Told();
  const contexts = await TlsContexts.open(files, told.watchers);
  const accepted: (string | undefined)[] = [];
  const secure = contexts.createServer({ handshakeTimeoutMs: 5_000 }, (socket) => {
    accepted.push(certificateIdentity(socket));
    socket.on("error", () => {});
    socket.end("hello");
  });
  const sockets = new Set<Socket>();
  const plain = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    secure.emit("connection", socket);
  });
  plain.listen(0, "127.0.0.1");
  await once(plain, "listening");
  t.after(() => {
    contexts.close();
    plain.close();
    for (const socket of sockets) socket.destroy();
  });
  return { told, accepted, port: (plain.address() as AddressInfo).port };
}

/** The names of the certificate that the server shows. @throws {Error} when the handshake fails or nothing comes. */
async function shown(port: number, options: ConnectionOptions = {}): Promise<string | undefined> {
  const socket: TLSSocket = connect({ port, host: "127.0.0.1", rejectUnauthorized: false, ...options });
  try {
    await once(socket, "secureConnect");
    const names = socket.getPeerX509Certificate()?.subjectAltName;
    assert.equal(
      await socket
        .setEncoding("utf8")
        .toArray()
        .then((parts) => parts.join("")),
      "hello",
    );
    return names;
  } finally {
    socket.destroy();
  }
}

const filesOf = (...all: CertificateFiles[]): TlsFiles => ({
  certificates: all.map(({ certFile }) => certFile),
  keys: all.map(({ keyFile }) => keyFile),
});

test("of several certificates the one that fits the name is shown, and the first where none does or no name is given", async (t) => {
  const [first, second] = [
    await certificateFor(t, ["one.example"]),
    await certificateFor(t, ["*.two.example", "three.example"]),
  ];
  const { port } = await listening(t, filesOf(first, second));
  assert.equal(await shown(port), "DNS:one.example");
  assert.equal(await shown(port, { servername: "one.example" }), "DNS:one.example");
  assert.equal(await shown(port, { servername: "a.two.example" }), "DNS:*.two.example, DNS:three.example");
  assert.equal(await shown(port, { servername: "THREE.example" }), "DNS:*.two.example, DNS:three.example");
  assert.equal(await shown(port, { servername: "a.b.two.example" }), "DNS:one.example");
  assert.equal(await shown(port, { servername: "other.example" }), "DNS:one.example");
});

async function copyCertificate(from: CertificateFiles, to: TlsFiles): Promise<void> {
  await copyFile(from.certFile, to.certificates[0]!);
  await copyFile(from.keyFile, to.keys[0]!);
}

test("a certificate that is renewed is shown from the next handshake on, with or without a name", async (t) => {
  const [old, renewed] = [await certificateFor(t, ["old.example"]), await certificateFor(t, ["new.example"])];
  const { told, port } = await listening(t, filesOf(old));
  assert.equal(await shown(port), "DNS:old.example");
  const next = told.next();
  await copyCertificate(renewed, filesOf(old));
  await next;
  assert.deepEqual([told.reloads, told.problems], [[["new.example"]], []]);
  assert.equal(await shown(port), "DNS:new.example");
  assert.equal(await shown(port, { servername: "new.example" }), "DNS:new.example");
});

test("new files that are wrong are told of, and the old certificate stays, until right ones come", async (t) => {
  const [used, other] = [
    await certificateFor(t, ["used.example"]),
    await certificateFor(t, ["other.example"]),
  ];
  const expired = await certificateFor(t, ["expired.example"], -1);
  const { told, port } = await listening(t, filesOf(used));
  const wrong: [change: () => Promise<unknown>, expected: RegExp][] = [
    [
      () => copyFile(other.certFile, used.certFile),
      /server.key is not the key of the certificate in .*; the certificates that are in use stay$/,
    ],
    [() => writeFile(used.certFile, "no certificate"), /server.pem holds no PEM certificate/],
    [() => copyCertificate(expired, filesOf(used)), /the certificate expired on/],
    [() => rm(used.certFile), /server.pem can't be read: ENOENT/],
  ];
  for (const [change, expected] of wrong) {
    const next = told.next();
    await change();
    await next;
    assert.match(told.problems.at(-1)!, expected);
    assert.equal(await shown(port, { servername: "used.example" }), "DNS:used.example");
  }
  const next = told.next();
  await copyCertificate(other, filesOf(used));
  await next;
  assert.equal(await shown(port), "DNS:other.example");
});

test("clients without a certificate of the authority are refused, and those with one are told by name", async (t) => {
  const [server, client, stranger] = [
    await certificateFor(t, ["server.example"]),
    await certificateFor(t, ["client.example"]),
    await certificateFor(t, ["stranger.example"]),
  ];
  const { port, accepted } = await listening(t, { ...filesOf(server), clientCa: client.caFile });
  const pem = async ({ certFile, keyFile }: CertificateFiles) => ({
    cert: await readFile(certFile),
    key: await readFile(keyFile),
  });
  for (const servername of ["", "server.example"]) {
    await assert.rejects(shown(port, { servername }));
    await assert.rejects(shown(port, { servername, ...(await pem(stranger)) }));
    assert.deepEqual(accepted, []);
    assert.equal(await shown(port, { servername, ...(await pem(client)) }), "DNS:server.example");
    assert.deepEqual(accepted.splice(0), ["x"]);
  }
});

test("a session can't be taken up again past the check of the client's certificate", async (t) => {
  const [server, client] = [
    await certificateFor(t, ["server.example"]),
    await certificateFor(t, ["client.example"]),
  ];
  const { port } = await listening(t, { ...filesOf(server), clientCa: client.caFile });
  for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
    const options = { port, host: "127.0.0.1", rejectUnauthorized: false, maxVersion };
    const [cert, key] = [await readFile(client.certFile), await readFile(client.keyFile)];
    const first = connect({ ...options, cert, key });
    const sessions: Buffer[] = [];
    first.on("session", (session) => sessions.push(session));
    await once(first, "data");
    first.destroy();
    for (const session of sessions) await assert.rejects(shown(port, { maxVersion, session }));
  }
});

test("bytes that came with what was read before the handshake are part of it", async (t) => {
  const certificate = await certificateFor(t, ["server.example"]);
  const contexts = await TlsContexts.open(filesOf(certificate), new Told().watchers);
  const secure = contexts.createServer({ handshakeTimeoutMs: 5_000 }, (socket) => socket.end("hello"));
  const plain = createServer((socket) => {
    socket.once("data", (bytes: Buffer) => {
      socket.pause();
      assert.equal(bytes.toString("latin1", 0, 7), "header\n");
      socket.unshift(bytes.subarray(7));
      secure.emit("connection", socket);
    });
  });
  plain.listen(0, "127.0.0.1");
  await once(plain, "listening");
  t.after(() => {
    contexts.close();
    plain.close();
  });
  // A client whose first write carries the header and its hello together.
  const { port } = plain.address() as AddressInfo;
  const through = createServer((near) => {
    near.once("data", (hello: Buffer) => {
      near.pause();
      const far = connectPlain(port);
      far.write(Buffer.concat([Buffer.from("header\n"), hello]));
      near.pipe(far).pipe(near);
    });
  });
  through.listen(0, "127.0.0.1");
  await once(through, "listening");
  t.after(() => through.close());
  assert.equal(await shown((through.address() as AddressInfo).port), "DNS:server.example");
});

test("what is wrong at the start starts nothing", async (t) => {
  const certificate = await certificateFor(t, ["a.example"]);
  const other = await certificateFor(t, ["b.example"]);
  const { watchers } = new Told();
  const empty = join(await folder(t), "empty.pem");
  await writeFile(empty, "");
  await mkdir(`${empty}.d`);
  const open = (files: Partial<TlsFiles>) =>
    TlsContexts.open({ ...filesOf(certificate), ...files }, watchers);
  await assert.rejects(open({ keys: [other.keyFile] }), /is not the key of the certificate/);
  await assert.rejects(open({ keys: [] }), /each with its key/);
  await assert.rejects(open({ certificates: [empty] }), /holds no PEM certificate/);
  await assert.rejects(open({ keys: [certificate.certFile] }), /holds no PEM private key/);
  await assert.rejects(open({ certificates: [`${empty}.d`] }), /can't be read: EISDIR/);
  await assert.rejects(open({ clientCa: empty }), /holds no PEM certificate/);
});

test("a certificate that has expired is told of at the start, and used", async (t) => {
  const expired = await certificateFor(t, ["expired.example"], -1);
  const { told, port } = await listening(t, filesOf(expired));
  assert.match(told.problems.join(), /the certificate expired on/);
  assert.equal(await shown(port), "DNS:expired.example");
});
