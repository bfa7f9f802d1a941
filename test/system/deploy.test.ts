import assert from "node:assert/strict";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { validate } from "dockerfile-utils";
import { parse, parseAllDocuments } from "yaml";
import { parseRelayConfig } from "@sockeye/relay/config/load";
import type { RelayConfig } from "@sockeye/relay/config/schema";
import { publicAddresses } from "@sockeye/relay/public-addresses";
import { DOCKERFILE, lastOf, makeImage } from "../peers/image.ts";
import { findProgram, freePort } from "../peers/peer-process.ts";
import { until } from "../peers/relay.ts";

const CHART = join(import.meta.dirname, "..", "..", "deploy", "chart");
const run = promisify(execFile);

/** The last stage's user, where we can become it. */
const NOBODY = process.getuid?.() === 0 ? { uid: 65_532, gid: 65_532 } : {};

describe("the relay's image", () => {
  let folder = "";
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "showoff-image-"));
    await makeImage(folder);
  });
  after(() => rm(folder, { recursive: true, force: true }));

  /** What the image's node runs, of its own files alone: no package of this checkout is in reach. */
  const inImage = (path: string): string => join(folder, path.replace(/^\/app\//, ""));
  const words = (keyword: string): string[] => JSON.parse(/\[.*\]/.exec(lastOf(keyword))![0]) as string[];

  test("its Dockerfile has no fault that a linter knows", () => {
    assert.deepEqual(validate(readFileSync(DOCKERFILE, "utf8")), []);
  });

  test("it runs as nobody in particular, and its entry point and health check are files that it has", () => {
    assert.equal(lastOf("USER"), "65532:65532");
    for (const keyword of ["ENTRYPOINT", "HEALTHCHECK"]) {
      const [program, file] = words(keyword);
      assert.equal(program, "/nodejs/bin/node");
      assert.ok(readFileSync(inImage(file!)).length > 0);
    }
  });

  test("`--version` runs from its files and production dependencies alone", async () => {
    const { stdout } = await run(process.execPath, [inImage(words("ENTRYPOINT")[1]!), "--version"], {
      cwd: "/",
      env: { NODE_ENV: "production" },
      ...NOBODY,
    });
    assert.match(stdout, /^\d+\.\d+\.\d+\n$/);
  });

  test("it serves, its health check says so, and says the opposite when it has stopped", async () => {
    const admin = await freePort();
    const env = {
      NODE_ENV: "production",
      SHOWOFF_DOMAINS: "localhost",
      SHOWOFF_INSECURE_NO_AUTH: "true",
      SHOWOFF_CONTROL_ADDRESS: "127.0.0.1:0",
      SHOWOFF_DATA_ADDRESS: "127.0.0.1:0",
      SHOWOFF_PUBLIC_HTTP_ADDRESS: "127.0.0.1:0",
      SHOWOFF_ADMIN_ADDRESS: `0.0.0.0:${admin}`,
      // Another exporter than none, so that its packages are loaded, too.
      SHOWOFF_OTEL_ENDPOINT: "http://127.0.0.1:9",
    };
    const options = { cwd: "/", env, ...NOBODY };
    const relay: ChildProcess = spawn(process.execPath, [inImage(words("ENTRYPOINT")[1]!), ...words("CMD")], {
      ...options,
      stdio: ["ignore", "pipe", "pipe"],
    });
    let told = "";
    for (const stream of [relay.stdout!, relay.stderr!]) stream.on("data", (text) => (told += String(text)));
    try {
      await until(() => told.includes("the relay is ready") || relay.exitCode !== null, "it is ready");
      assert.equal(relay.exitCode, null, told);
      await run(process.execPath, [inImage(words("HEALTHCHECK")[1]!)], options);
    } finally {
      relay.kill("SIGTERM");
      if (relay.exitCode === null) await once(relay, "exit");
    }
    await assert.rejects(run(process.execPath, [inImage(words("HEALTHCHECK")[1]!)], options), { code: 1 });
  });
});

interface Values {
  readonly services: { readonly public: { readonly httpsPort: number } };
  readonly config: Record<string, unknown> & { readonly drain_timeout: number };
  readonly preStopSeconds: number;
  readonly secrets: readonly { readonly name: string; readonly mountPath: string }[];
}

const values = parse(readFileSync(join(CHART, "values.yaml"), "utf8")) as Values;

/** The relay's own reading of a configuration file. */
function configOf(text: string): RelayConfig {
  const result = parseRelayConfig({
    flags: {},
    env: {},
    file: { name: "showoff.yaml", text },
    directory: "/etc/showoff",
  });
  assert.ok("config" in result, "errors" in result ? JSON.stringify(result.errors) : "");
  return result.config;
}

describe("the relay on a host of one's own", () => {
  const ROOT = join(import.meta.dirname, "..", "..");
  const quickstart = readFileSync(join(ROOT, "docs", "relay-quickstart.md"), "utf8");
  const unit = readFileSync(join(ROOT, "deploy", "systemd", "showoff.service"), "utf8");

  test("the configuration that its page has people write is one that the relay takes", () => {
    const text = /relay\.yaml <<'END'\n(.*?)\nEND\n/s.exec(quickstart)![1]!;
    const config = configOf(text);
    assert.match(config.auth.tokens_file!, /\/tokens\.yaml$/);
    assert.equal(
      new URL(publicAddresses({ kind: "http", name: "a" }, config, { http: 80, https: 443 })[0]!).port,
      "",
    );
  });

  test("its unit starts what is there, with the file that the page writes, and waits for longer than the drain", () => {
    const command = /^ExecStart=(.*)$/m.exec(unit)![1]!.split(" ");
    assert.deepEqual(command.slice(-3), ["serve", "--config", "/etc/showoff/relay.yaml"]);
    for (const file of command.slice(0, 2)) assert.ok(existsSync(file.replace("/opt/showoff", ROOT)), file);
    const stop = Number(/^TimeoutStopSec=(\d+)$/m.exec(unit)![1]);
    assert.ok(stop > configOf("domains: [a.example]\ninsecure_no_auth: true\n").drain_timeout);
    assert.ok(quickstart.includes("cp deploy/systemd/showoff.service /etc/systemd/system/"));
  });
});

describe("the relay's chart", () => {
  test("its configuration is one that the relay takes, and files that it names are in secrets that are mounted", () => {
    const config = configOf(JSON.stringify(values.config));
    const files = [
      ...[config.control, config.data, config.public_https].flatMap((one) => [
        ...one.tls_cert,
        ...one.tls_key,
      ]),
      config.auth.tokens_file,
      config.admin.credentials_file,
    ];
    for (const file of files)
      assert.ok(
        values.secrets.some(({ mountPath }) => file?.startsWith(`${mountPath}/`)),
        `${file} is in no secret`,
      );
  });

  test("clients are told where the Service is, not where the container listens", () => {
    const config = configOf(JSON.stringify(values.config));
    assert.equal(values.services.public.httpsPort, 443);
    const ports = { http: 8080, https: 8443 };
    const told = publicAddresses({ kind: "http", name: "demo" }, config, ports);
    assert.deepEqual(told, ["https://demo.relay.example.com"]);
  });

  test("a number and a range of TCP ports, as the chart's Service takes them, are ports for the relay as well", () => {
    const tcp = { host: "0.0.0.0", ports: ["2000-2002", 3000] };
    assert.deepEqual(configOf(JSON.stringify({ ...values.config, tcp })).tcp.ports, [
      { low: 2000, high: 2002 },
      { low: 3000, high: 3000 },
    ]);
  });

  test("every key of its values is in its schema, which lets no other in", () => {
    const schema = JSON.parse(readFileSync(join(CHART, "values.schema.json"), "utf8")) as {
      readonly properties: Readonly<Record<string, unknown>>;
      readonly additionalProperties: boolean;
    };
    assert.equal(schema.additionalProperties, false);
    assert.deepEqual(
      Object.keys(values).filter((key) => !(key in schema.properties)),
      [],
    );
  });

  test("probes ask the admin listener for what it serves to everyone", () => {
    const template = readFileSync(join(CHART, "templates", "deployment.yaml"), "utf8");
    const probes = [...template.matchAll(/(\w+)Probe:\s+httpGet: \{ path: (\S+), port: (\w+),/g)];
    assert.deepEqual(
      probes.map(([, probe, path, port]) => [probe, path, port]),
      [
        ["startup", "/healthz", "admin"],
        ["liveness", "/healthz", "admin"],
        ["readiness", "/readyz", "admin"],
      ],
    );
    assert.notEqual(configOf(JSON.stringify(values.config)).admin.address.split(":")[0], "127.0.0.1");
  });
});

interface Resource {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly data?: Readonly<Record<string, string>>;
  readonly spec: {
    readonly ports?: readonly { readonly name: string; readonly port: number; readonly targetPort: string }[];
    readonly template?: {
      readonly spec: {
        readonly terminationGracePeriodSeconds: number;
        readonly containers: readonly {
          readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
        }[];
      };
    };
  };
}

/** helm is in no package of Debian's: this is run where somebody has installed it. */
const withoutHelm = findProgram("helm") === undefined ? "NOT RUN: helm is not installed" : false;

describe("the relay's chart, as helm renders it", { skip: withoutHelm }, () => {
  const helm = (...args: string[]): Promise<{ stdout: string }> =>
    run("helm", [...args, "--kube-version", "1.31.0"], { maxBuffer: 1 << 24 });
  const render = async (...args: string[]): Promise<Resource[]> => {
    const { stdout } = await helm("template", "demo", CHART, ...args);
    return parseAllDocuments(stdout).flatMap((document) => (document.toJS() as Resource | null) ?? []);
  };

  test("it has no fault that helm knows", async () => {
    await helm("lint", "--strict", CHART);
  });

  test("services, container, probes and configuration mean the same ports, and the grace period is longer than the drain", async () => {
    const resources = await render("--set", "config.tcp.ports={2000-2002,3000}");
    const of = (kind: string) => resources.filter((one) => one.kind === kind);
    const config = configOf(of("ConfigMap")[0]!.data!["showoff.yaml"]!);
    const pod = of("Deployment")[0]!.spec.template!.spec;
    const ports = new Map(pod.containers[0]!.ports.map(({ name, containerPort }) => [name, containerPort]));
    const portOf = (address: string) => Number(address.split(":").at(-1));
    assert.deepEqual(
      ports,
      new Map([
        ["control", portOf(config.control.address)],
        ["data", portOf(config.data.address)],
        ["http", portOf(config.public_http.address)],
        ["https", portOf(config.public_https.address)],
        ["admin", portOf(config.admin.address)],
        ...[2000, 2001, 2002, 3000].map((port): [string, number] => [`tcp-${port}`, port]),
      ]),
    );
    for (const service of of("Service"))
      for (const { targetPort } of service.spec.ports!) assert.ok(ports.has(targetPort), targetPort);
    assert.ok(pod.terminationGracePeriodSeconds > config.drain_timeout + values.preStopSeconds);
  });

  test("what is off is left out, and what is on is there", async () => {
    const kinds = (resources: readonly Resource[]) => resources.map(({ kind }) => kind).toSorted();
    assert.deepEqual(kinds(await render()), [
      ...["ConfigMap", "Deployment", "PodDisruptionBudget", "Service", "Service", "Service"],
    ]);
    const settings = ["networkPolicy.enabled=true", "podDisruptionBudget.enabled=false"];
    assert.deepEqual(kinds(await render(...settings.flatMap((one) => ["--set", one]))), [
      ...["ConfigMap", "Deployment", "NetworkPolicy", "Service", "Service", "Service"],
    ]);
  });

  test("values that can't be right are refused", async () => {
    for (const wrong of [
      "config.admin.address=off",
      "config.drain_timeout=30s",
      "config.tcp.ports={1000-2000}",
      "confg.domains={a.example.com}",
    ])
      await assert.rejects(render("--set", wrong), /failed|Error/, wrong);
  });
});
