import assert from "node:assert/strict";
import { createHmac, generateKeyPairSync, sign } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { relaySchema } from "../config/schema.ts";
import {
  AuthError,
  type Authoriser,
  type AuthErrorCode,
  type Credential,
  type Purpose,
} from "./authoriser.ts";
import { createAuthoriser } from "./create-authoriser.ts";
import { createToken, formatToken, hashSecret } from "./token.ts";
import { formatTokenEntry } from "./tokens-file.ts";

const never = new AbortController().signal;
const source = "192.0.2.1";
const http = (name: string): Purpose => ({ kind: "http", name });
const tcp = (port: number): Purpose => ({ kind: "tcp", port });
const session: Purpose = { kind: "session" };

function unexpected(sentence: string): void {
  assert.equal(sentence, undefined);
}

async function folder(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "showoff-auth-"));
  t.after(() => rm(path, { recursive: true }));
  return path;
}

/** As the relay makes it, from the configuration's own keys. */
async function authoriserWith(
  t: TestContext,
  auth: object,
  onProblem: (sentence: string) => void = unexpected,
): Promise<Authoriser> {
  const authoriser = await createAuthoriser(relaySchema.parse({ auth }), onProblem);
  t.after(() => authoriser.close());
  return authoriser;
}

function refused(given: Promise<unknown>, code: AuthErrorCode): Promise<void> {
  return assert.rejects(given, (error: unknown) => {
    assert.ok(error instanceof AuthError, String(error));
    assert.equal(error.code, code, error.message);
    return true;
  });
}

async function codeOf(verdict: ReturnType<Authoriser["authorise"]>): Promise<string> {
  const known = await verdict;
  return known.allowed ? "allowed" : known.code;
}

interface Entry {
  readonly token: string;
  readonly line: string;
}

function makeEntry(identity: string, changes: Partial<Parameters<typeof formatTokenEntry>[0]> = {}): Entry {
  const token = createToken();
  const entry = {
    id: token.id,
    identity,
    sha256: hashSecret(token.secret),
    names: ["demo-*"],
    ports: [{ low: 2000, high: 2100 }],
  };
  return { token: formatToken(token), line: formatTokenEntry({ ...entry, ...changes }) };
}

/** By a rename, as editors and provisioning do it. */
async function replaceFile(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text);
  await rename(`${path}.new`, path);
}

const fileOf = (...entries: readonly Entry[]) =>
  ["tokens:", ...entries.map(({ line }) => line), ""].join("\n");

test("a token is who it is for, and good for its names and ports and no others", async (t) => {
  const path = join(await folder(t), "tokens.yaml");
  const ada = makeEntry("ada");
  await writeFile(path, fileOf(makeEntry("bob"), ada));
  const authoriser = await authoriserWith(t, { tokens_file: path });
  const grant = await authoriser.authenticate({ token: ada.token, source }, never);
  assert.equal(grant.identity, "token:ada");
  assert.deepEqual([grant.names, grant.ports], [["demo-*"], [{ low: 2000, high: 2100 }]]);
  assert.ok(!JSON.stringify(grant).includes(ada.token.split("_")[2]!), "a grant does not hold the secret");
  for (const purpose of [session, http("demo-1"), tcp(2100)])
    assert.equal(await codeOf(authoriser.authorise(grant, purpose)), "allowed");
  for (const purpose of [http("other"), tcp(2101)])
    assert.equal(await codeOf(authoriser.authorise(grant, purpose)), "scope");
});

test("wrong tokens are refused alike: unknown, with another's secret, cut, or none", async (t) => {
  const path = join(await folder(t), "tokens.yaml");
  const [ada, bob] = [makeEntry("ada"), makeEntry("bob")];
  await writeFile(path, fileOf(ada, bob));
  const authoriser = await authoriserWith(t, { tokens_file: path });
  const [prefix, id] = ada.token.split("_");
  const mixed = `${prefix}_${id}_${bob.token.split("_")[2]}`;
  for (const token of [makeEntry("eve").token, mixed, ada.token.slice(0, -1), `${ada.token}x`, "", "showoff"])
    await refused(authoriser.authenticate({ token, source }, never), "refused");
  await refused(authoriser.authenticate({ source }, never), "missing");
});

test("without a grant nothing is allowed, and a grant of another authoriser is none", async (t) => {
  const path = join(await folder(t), "tokens.yaml");
  await writeFile(path, fileOf());
  const authoriser = await authoriserWith(t, { tokens_file: path });
  assert.equal(await codeOf(authoriser.authorise(undefined, session)), "missing");
  const open = await createAuthoriser(relaySchema.parse({ insecure_no_auth: true }), unexpected);
  const foreign = await open.authenticate({ source }, never);
  assert.equal(await codeOf(authoriser.authorise(foreign, http("demo"))), "missing");
});

test("a token that leaves the file ends at once, is told of, and one whose scope has shrunk is held to it", async (t) => {
  const path = join(await folder(t), "tokens.yaml");
  const [ada, bob] = [makeEntry("ada"), makeEntry("bob")];
  await writeFile(path, fileOf(ada, bob));
  const authoriser = await authoriserWith(t, { tokens_file: path });
  const [adas, bobs] = [
    await authoriser.authenticate({ token: ada.token, source }, never),
    await authoriser.authenticate({ token: bob.token, source }, never),
  ];
  const told = new Promise<void>((resolve) => authoriser.onRevocation(resolve));
  const narrower = bob.line.replace("demo-*", "demo-1");
  await replaceFile(path, fileOf({ ...bob, line: narrower }));
  await told;
  assert.equal(await codeOf(authoriser.authorise(adas, session)), "revoked");
  assert.equal(await codeOf(authoriser.authorise(adas, http("demo-2"))), "revoked");
  await refused(authoriser.authenticate({ token: ada.token, source }, never), "refused");
  assert.equal(await codeOf(authoriser.authorise(bobs, http("demo-1"))), "allowed");
  assert.equal(await codeOf(authoriser.authorise(bobs, http("demo-2"))), "scope");
});

test("a token that is given anew under its id, or to somebody else, is another one", async (t) => {
  const path = join(await folder(t), "tokens.yaml");
  const ada = makeEntry("ada");
  await writeFile(path, fileOf(ada));
  const authoriser = await authoriserWith(t, { tokens_file: path });
  const grant = await authoriser.authenticate({ token: ada.token, source }, never);
  for (const line of [
    ada.line.replace('"ada"', '"eve"'),
    ada.line.replace(/sha256: "\w/, 'sha256: "0').replace('"0', '"f'),
  ]) {
    const told = new Promise<void>((resolve) => authoriser.onRevocation(resolve));
    await replaceFile(path, fileOf({ ...ada, line }));
    await told;
    assert.equal(await codeOf(authoriser.authorise(grant, session)), "revoked");
  }
});

test("a tokens file that has become wrong, or is gone, is told of and changes nothing", async (t) => {
  const path = join(await folder(t), "tokens.yaml");
  const ada = makeEntry("ada");
  await writeFile(path, fileOf(ada));
  const problems: string[] = [];
  let wake = () => {};
  const authoriser = await authoriserWith(t, { tokens_file: path }, (sentence) => {
    problems.push(sentence);
    wake();
  });
  const grant = await authoriser.authenticate({ token: ada.token, source }, never);
  for (const change of [() => replaceFile(path, "tokens: [{ id: x }]\n"), () => rm(path)]) {
    const told = new Promise<void>((resolve) => (wake = resolve));
    await change();
    await told;
    assert.equal(await codeOf(authoriser.authorise(grant, http("demo-1"))), "allowed");
  }
  assert.match(
    problems[0]!,
    /tokens.yaml: 1:.*tokens\[0\].id must be 12 letters and digits.*stays in force$/,
  );
  assert.match(problems[1]!, /is gone/);
});

test("a token ends at its date, also for a client that is connected", async (t) => {
  const path = join(await folder(t), "tokens.yaml");
  const soon = makeEntry("ada", { expires: new Date(Date.now() + 300).toISOString() });
  const past = makeEntry("bob", { expires: "2001-01-01" });
  await writeFile(path, fileOf(soon, past));
  const authoriser = await authoriserWith(t, { tokens_file: path });
  await refused(authoriser.authenticate({ token: past.token, source }, never), "expired");
  const grant = await authoriser.authenticate({ token: soon.token, source }, never);
  await new Promise((resolve) => setTimeout(resolve, Math.max(0, grant.expiresAt! - Date.now() + 5)));
  assert.equal(await codeOf(authoriser.authorise(grant, session)), "expired");
});

test("a tokens file tells all its faults at once, with their places, and starts nothing", async (t) => {
  const path = join(await folder(t), "tokens.yaml");
  const twice = makeEntry("ada");
  await writeFile(path, `${fileOf(twice, twice)}  - { id: UPPER, identity: a b, nmaes: [x] }\nother: 1\n`);
  await assert.rejects(
    createAuthoriser(relaySchema.parse({ auth: { tokens_file: path } }), unexpected),
    (error: Error) => {
      for (const part of [
        "4:11: tokens[2].id must be 12 letters and digits",
        "4:28: tokens[2].identity must be",
        "tokens[2].sha256 must be",
        "unknown key nmaes",
        "unknown key other",
      ])
        assert.ok(error.message.includes(part), `${part} in ${error.message}`);
      return true;
    },
  );
});

const key = "k".repeat(32);
const inAnHour = Math.floor(Date.now() / 1000) + 3600;
const base64 = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");

/** Made by hand, so that every wrong one can be. */
function jwt(payload: object, { alg = "HS256", secret = key, header = {} } = {}): string {
  const body = `${base64({ alg, typ: "JWT", ...header })}.${base64(payload)}`;
  const hash = { HS256: "sha256", HS384: "sha384", HS512: "sha512" }[alg];
  return `${body}.${hash === undefined ? "" : createHmac(hash, secret).update(body).digest("base64url")}`;
}

const good = {
  sub: "ada",
  exp: inAnHour,
  iss: "issuer",
  aud: "showoff",
  names: ["demo-*"],
  ports: "2000-2100",
};

async function jwtAuthoriser(t: TestContext, extra: object = { issuer: "issuer", audience: "showoff" }) {
  const path = join(await folder(t), "key");
  await writeFile(path, `${key}\n`);
  return { path, authoriser: await authoriserWith(t, { jwt: { secret_file: path, ...extra } }) };
}

test("a JWT signed with the key is who its sub is, with any of the three hashes", async (t) => {
  const { authoriser } = await jwtAuthoriser(t);
  for (const alg of ["HS256", "HS384", "HS512"]) {
    const grant = await authoriser.authenticate(
      { token: jwt({ ...good, max_tunnels: 5 }, { alg }), source },
      never,
    );
    assert.equal(grant.identity, "jwt:ada");
    assert.deepEqual(grant.limits, { maxTunnels: 5 });
    assert.equal(await codeOf(authoriser.authorise(grant, http("demo-1"))), "allowed");
    assert.equal(await codeOf(authoriser.authorise(grant, tcp(2101))), "scope");
  }
});

const { privateKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
const es256 = `${base64({ alg: "ES256" })}.${base64(good)}`;
const wrongJwts: [name: string, token: string, code?: AuthErrorCode][] = [
  ["alg none", jwt(good, { alg: "none" })],
  ["alg None", jwt(good, { alg: "None" })],
  ["alg none with a signature", `${jwt(good, { alg: "none" })}${jwt(good).split(".")[2]}`],
  [
    "a public key's algorithm",
    `${es256}.${sign("sha256", Buffer.from(es256), privateKey).toString("base64url")}`,
  ],
  ["another key", jwt(good, { secret: "x".repeat(32) })],
  [
    "a changed payload",
    [jwt(good).split(".")[0], base64({ ...good, sub: "eve" }), jwt(good).split(".")[2]].join("."),
  ],
  ["expired", jwt({ ...good, exp: inAnHour - 7200 }), "expired"],
  ["without an end", jwt({ ...good, exp: undefined })],
  ["an end that is no number", jwt({ ...good, exp: "never" })],
  ["not yet valid", jwt({ ...good, nbf: inAnHour - 60 })],
  ["of another issuer", jwt({ ...good, iss: "other" })],
  ["of no issuer", jwt({ ...good, iss: undefined })],
  ["for another audience", jwt({ ...good, aud: ["other"] })],
  ["for nobody", jwt({ ...good, sub: undefined })],
  ["for somebody with control bytes", jwt({ ...good, sub: "a\nb" })],
  ["patterns that are none", jwt({ ...good, names: ["a.b"] })],
  ["a critical header that nobody knows", jwt(good, { header: { crit: ["x"], x: 1 } })],
  ["very long", jwt({ ...good, more: "x".repeat(10_000) })],
];

for (const [name, token, code = "refused"] of wrongJwts) {
  test(`a JWT is refused: ${name}`, async (t) => {
    const { authoriser } = await jwtAuthoriser(t);
    await refused(authoriser.authenticate({ token, source }, never), code);
  });
}

test("a JWT's client loses its grant when the key leaves the file; a key may follow another without a break", async (t) => {
  const { authoriser, path } = await jwtAuthoriser(t, {});
  const grant = await authoriser.authenticate({ token: jwt(good), source }, never);
  const next = "n".repeat(40);
  const replace = async (text: string) => {
    const told = new Promise<void>((resolve) => authoriser.onRevocation(resolve));
    await replaceFile(path, text);
    await told;
  };
  await replace(`${next}\n${key}\n`);
  assert.equal(await codeOf(authoriser.authorise(grant, session)), "allowed");
  await authoriser.authenticate({ token: jwt(good, { secret: next }), source }, never);
  await replace(`${next}\n`);
  assert.equal(await codeOf(authoriser.authorise(grant, session)), "revoked");
  await refused(authoriser.authenticate({ token: jwt(good), source }, never), "refused");
});

test("a key that can be guessed is refused at the start", async (t) => {
  const path = join(await folder(t), "key");
  await writeFile(path, "short\n");
  const config = relaySchema.parse({ auth: { jwt: { secret_file: path } } });
  await assert.rejects(createAuthoriser(config, unexpected), /a key has at least 32 bytes; one here has 5/);
});

type Answer = (question: Record<string, unknown>, response: ServerResponse, request: IncomingMessage) => void;

async function externalAuthoriser(t: TestContext, answer: Answer, options: object = {}) {
  const questions: Record<string, unknown>[] = [];
  const server = createServer((request, response) => {
    void (async () => {
      const chunks = await request.toArray();
      const question = JSON.parse(Buffer.concat(chunks as Buffer[]).toString()) as Record<string, unknown>;
      questions.push(question);
      answer(question, response, request);
    })();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/ask`;
  return { questions, authoriser: await authoriserWith(t, { external: { url, ...options } }) };
}

const reply = (response: ServerResponse, value: unknown, status = 200) =>
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
const yes = { allowed: true, identity: "ada", names: ["demo-*"], reference: "r1" };

test("an external authoriser is asked for each client and each stream, and an answer holds for its time", async (t) => {
  const bearerFile = join(await folder(t), "bearer");
  await writeFile(bearerFile, "sesame\n");
  const { authoriser, questions } = await externalAuthoriser(
    t,
    (question, response, request) => {
      assert.equal(request.headers.authorization, "Bearer sesame");
      reply(response, question["type"] === "authenticate" ? yes : { allowed: true });
    },
    { token_file: bearerFile, cache_ttl: 100 },
  );
  const grant = await authoriser.authenticate({ token: "anything", source }, never);
  assert.equal(grant.identity, "external:ada");
  const asked = [authoriser.authorise(grant, http("demo-1")), authoriser.authorise(grant, http("demo-1"))];
  for (const verdict of asked) assert.equal(await codeOf(verdict), "allowed");
  assert.deepEqual(
    authoriser.authorise(grant, http("demo-1")),
    { allowed: true },
    "an answer at hand is no promise",
  );
  assert.equal(await codeOf(authoriser.authorise(grant, http("demo-2"))), "allowed");
  assert.equal(await codeOf(authoriser.authorise(grant, http("other"))), "scope");
  assert.deepEqual(questions, [
    { type: "authenticate", token: "anything", source },
    { type: "authorise", identity: "ada", reference: "r1", purpose: http("demo-1") },
    { type: "authorise", identity: "ada", reference: "r1", purpose: http("demo-2") },
  ]);
});

test("an external no ends a client that is connected, once its last answer is old", async (t) => {
  let isRevoked = false;
  const { authoriser } = await externalAuthoriser(
    t,
    (question, response) =>
      reply(response, question["type"] === "authenticate" ? yes : { allowed: !isRevoked, reason: "fired" }),
    { cache_ttl: 0 },
  );
  const grant = await authoriser.authenticate({ token: "t", source }, never);
  assert.equal(await codeOf(authoriser.authorise(grant, session)), "allowed");
  isRevoked = true;
  assert.deepEqual(await authoriser.authorise(grant, session), {
    allowed: false,
    code: "refused",
    reason: "fired",
  });
});

const brokenAnswers: [name: string, answer: Answer][] = [
  ["none at all", () => {}],
  ["a closed connection", (_question, response) => response.destroy()],
  ["a failure", (_question, response) => reply(response, yes, 500)],
  ["a yes with another status", (_question, response) => reply(response, yes, 202)],
  ["a redirect", (_question, response) => response.writeHead(307, { location: "/elsewhere" }).end()],
  ["no JSON", (_question, response) => response.end("allowed: true")],
  ["a yes that is a text", (_question, response) => reply(response, { ...yes, allowed: "true" })],
  ["a yes for nobody", (_question, response) => reply(response, { allowed: true })],
  ["too much", (_question, response) => response.end(`${JSON.stringify(yes)}${" ".repeat(100_000)}`)],
];

for (const [name, answer] of brokenAnswers) {
  test(`an external answer that is ${name} is a no, in time`, async (t) => {
    const { authoriser } = await externalAuthoriser(t, answer, { timeout: "400ms" });
    await refused(authoriser.authenticate({ token: "t", source }, never), "unavailable");
  });
}

test("an external authoriser that falls silent denies streams, and is asked again for the next", async (t) => {
  let isSilent = true;
  const { authoriser } = await externalAuthoriser(
    t,
    (question, response) => {
      if (question["type"] === "authenticate") reply(response, yes);
      else if (!isSilent) reply(response, { allowed: true });
    },
    { timeout: "200ms" },
  );
  const grant = await authoriser.authenticate({ token: "t", source }, never);
  assert.equal(await codeOf(authoriser.authorise(grant, session)), "unavailable");
  isSilent = false;
  assert.equal(await codeOf(authoriser.authorise(grant, session)), "allowed");
});

test("asking ends with the client that is asked about", async (t) => {
  const { authoriser } = await externalAuthoriser(t, () => {}, { timeout: 60 });
  const abort = new AbortController();
  const asked = authoriser.authenticate({ token: "t", source }, abort.signal);
  abort.abort(new Error("the client went away"));
  await assert.rejects(asked, /the client went away/);
});

test("a certificate names its client, and {identity} in patterns is it, where it is a label", async (t) => {
  const authoriser = await authoriserWith(t, {
    certificate_names: ["{identity}", "{identity}-*", "shared"],
    certificate_ports: [2000],
  });
  const grantOf = (certificate: string) => authoriser.authenticate({ certificate, source }, never);
  const grant = await grantOf("Ada");
  assert.deepEqual(grant.names, ["ada", "ada-*", "shared"]);
  assert.equal(await codeOf(authoriser.authorise(grant, tcp(2000))), "allowed");
  for (const name of ["*", "a*", "a.b", "-"]) assert.deepEqual((await grantOf(name)).names, ["shared"], name);
  await refused(authoriser.authenticate({ source }, never), "missing");
});

test("of several ways the one that reads a credential decides alone, and no identity is another way's", async (t) => {
  const path = join(await folder(t), "tokens.yaml");
  const keyPath = join(await folder(t), "key");
  const ada = makeEntry("ada");
  await writeFile(path, fileOf(ada));
  await writeFile(keyPath, key);
  const authoriser = await authoriserWith(t, {
    tokens_file: path,
    jwt: { secret_file: keyPath },
    certificate_names: ["*"],
  });
  const shown: [Credential, string][] = [
    [{ token: ada.token, certificate: "ada", source }, "token:ada"],
    [{ token: jwt(good), source }, "jwt:ada"],
    [{ certificate: "ada", source }, "certificate:ada"],
  ];
  for (const [credential, identity] of shown) {
    const grant = await authoriser.authenticate(credential, never);
    assert.equal(grant.identity, identity);
    assert.equal(await codeOf(authoriser.authorise(grant, session)), "allowed");
  }
  // A wrong token is not mended by a right certificate.
  await refused(
    authoriser.authenticate({ token: makeEntry("eve").token, certificate: "ada", source }, never),
    "refused",
  );
  await refused(authoriser.authenticate({ token: "what", certificate: "ada", source }, never), "refused");
});

test("without any way there is no authoriser, unless openness was asked for", async () => {
  await assert.rejects(createAuthoriser(relaySchema.parse({}), unexpected), /there is no authentication/);
  const open = await createAuthoriser(relaySchema.parse({ insecure_no_auth: true }), unexpected);
  const [one, same, other] = await Promise.all(
    ["a", "a", "b"].map((token) => open.authenticate({ token, source }, never)),
  );
  assert.equal(one?.identity, same?.identity);
  assert.notEqual(one?.identity, other?.identity);
  assert.equal(await codeOf(open.authorise(one, http("any"))), "allowed");
  assert.equal(await codeOf(open.authorise(undefined, http("any"))), "missing");
});
