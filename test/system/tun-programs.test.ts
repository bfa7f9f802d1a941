import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { enterNamespace } from "../peers/namespace.ts";
import { findProgram, makePeerFolder, skipWithout } from "../peers/peer-process.ts";
import { DEEP_NAME, program, shell, TARGETS, TunWorld, UPSTREAM } from "../peers/tun-world.ts";

const browser = ["chromium", "chromium-browser", "google-chrome"].find(
  (name) => findProgram(name) !== undefined,
);

if (await enterNamespace(import.meta.filename)) {
  const files = makePeerFolder("files");
  after(() => shell(`rm -rf ${files}`));
  const hasGit = findProgram("git") !== undefined;
  // A repository for git's plain HTTP, and one for apt with one package list.
  if (hasGit)
    shell(`
      cd ${files}; git init -q -b main work; cd work; echo "carried" >README; git add README
      git -c user.name=t -c user.email=t@example commit -q -m first
      git clone -q --bare . ../project.git; cd ../project.git; git update-server-info`);
  writeFileSync(
    join(files, "Packages"),
    "Package: carried\nVersion: 1.0\nArchitecture: all\nFilename: ./carried.deb\nSize: 1\nMaintainer: t <t@example>\nDescription: a package\n\n",
  );
  const world = await TunWorld.make({ files });
  after(() => world[Symbol.asyncDispose]());
  const engine = await world.engine(
    world.everyWay({
      routes: [
        { match: "*.corp.internal", to: "ssh" },
        { match: UPSTREAM, to: "socks5" },
      ],
      tun: { dns: "fake-ip", cidrs: ["10.77.0.0/16", "fd77::/16", `${UPSTREAM}/32`] },
    }),
  );

  for (const [upstream, hosts] of Object.entries(TARGETS)) {
    test(
      `curl fetches by HTTP, through ${upstream}, from either family`,
      { skip: skipWithout("curl") },
      async () => {
        for (const host of hosts) {
          const { stdout, stderr } = await program([
            "curl",
            "-sS",
            "-m",
            "10",
            "-g",
            `http://${host.includes(":") ? `[${host}]` : host}/`,
          ]);
          assert.match(stdout, /hello from far away/, stderr);
        }
      },
    );
  }

  test("curl speaks TLS with a host that only the far end knows", { skip: skipWithout("curl") }, async () => {
    const { stdout, stderr } = await program([
      "curl",
      "-sS",
      "-m",
      "10",
      "--cacert",
      world.caFile,
      `https://${DEEP_NAME}/`,
    ]);
    assert.match(stdout, /hello from far away/, stderr);
  });

  test("git clones over HTTP", { skip: skipWithout("git") }, async () => {
    const target = join(world.directory, "by-http");
    const { status, stderr } = await program([
      "git",
      "clone",
      "-q",
      `http://${DEEP_NAME}/project.git`,
      target,
    ]);
    assert.equal(status, 0, stderr);
    assert.equal(shell(`cat ${target}/README`), "carried\n");
  });

  const ssh = [
    "-i",
    world.identityFile,
    "-p",
    "2222",
    "-o",
    "StrictHostKeyChecking=no",
    "-o",
    "UserKnownHostsFile=/dev/null",
    "-o",
    "BatchMode=yes",
  ];

  test("ssh logs in and carries what a command prints", { skip: skipWithout("ssh") }, async () => {
    const from = engine.output.length;
    const { stdout, stderr } = await program([
      "ssh",
      ...ssh,
      `tester@${UPSTREAM}`,
      "id -un; head -c 1000000 /dev/zero | wc -c",
    ]);
    assert.equal(stdout, "tester\n1000000\n", stderr);
    await engine.logs(new RegExp(`"target":"${UPSTREAM.replaceAll(".", "\\.")}:2222"`), from);
  });

  test("git clones over ssh", { skip: skipWithout("git", "ssh") }, async () => {
    const target = join(world.directory, "by-ssh");
    const { status, stderr } = await program(
      ["git", "clone", "-q", `ssh://tester@${UPSTREAM}${files}/project.git`, target],
      {
        env: { GIT_SSH_COMMAND: ["ssh", ...ssh].join(" "), GIT_CONFIG_COUNT: "0" },
      },
    );
    assert.equal(status, 0, stderr);
    assert.equal(shell(`cat ${target}/README`), "carried\n");
  });

  const noApt = findProgram("apt-get") === undefined ? "apt-get is Debian's" : false;
  test("apt reads a repository", { skip: noApt }, async () => {
    const folder = join(world.directory, "apt");
    shell(`mkdir -p ${folder}/lists/partial ${folder}/cache/archives/partial; : >${folder}/status`);
    writeFileSync(`${folder}/sources.list`, `deb [trusted=yes] http://${DEEP_NAME}/ ./\n`);
    const settings = {
      "Dir::Etc::sourcelist": `${folder}/sources.list`,
      "Dir::Etc::sourceparts": "-",
      "Dir::Etc::main": "/dev/null",
      "Dir::Etc::parts": "-",
      "Dir::State::lists": `${folder}/lists`,
      "Dir::State::status": `${folder}/status`,
      "Dir::Cache": `${folder}/cache`,
      "APT::Sandbox::User": "root",
    };
    const options = Object.entries(settings).flatMap(([key, value]) => ["-o", `${key}=${value}`]);
    const update = await program(["apt-get", "update", ...options]);
    assert.equal(update.status, 0, update.stderr);
    const { stdout } = await program(["apt-cache", "policy", "carried", ...options]);
    assert.match(stdout, /Candidate: 1\.0/);
  });

  const noBrowser = browser === undefined ? skipWithout("chromium") : false;
  test("a browser shows a page of a host that only the far end knows", { skip: noBrowser }, async () => {
    const flags = [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--dump-dom",
      `--user-data-dir=${world.directory}/browser`,
    ];
    const { stdout, stderr } = await program([browser!, ...flags, `http://${DEEP_NAME}/`]);
    assert.match(stdout, /hello from far away/, stderr);
  });
}
