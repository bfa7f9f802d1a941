import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { enterNamespace } from "../peers/namespace.ts";
import { findProgram, makePeerFolder, skipWithout } from "../peers/peer-process.ts";
import { DEEP_NAME, program, shell, TARGETS, TunWorld, UPSTREAM, UPSTREAM6 } from "../peers/tun-world.ts";

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
        { match: UPSTREAM6, to: "http" },
      ],
      tun: {
        dns: "fake-ip",
        cidrs: ["10.77.0.0/16", "fd77::/16", `${UPSTREAM}/32`, `${UPSTREAM6}/128`],
      },
    }),
  );

  /** As an address stands in a URL. */
  const inUrl = (host: string): string => (host.includes(":") ? `[${host}]` : host);
  /** A name that only the far end knows, behind SSH, and an address of either family behind the others. */
  const SITES = [DEEP_NAME, inUrl(TARGETS.socks5[1]), TARGETS.http[0]];

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
            `http://${inUrl(host)}/`,
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

  for (const [i, site] of SITES.entries())
    test(`git clones over HTTP, from ${site}`, { skip: skipWithout("git") }, async () => {
      const target = join(world.directory, `by-http-${i}`);
      const { status, stderr } = await program(["git", "clone", "-q", `http://${site}/project.git`, target]);
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

  for (const host of [UPSTREAM, UPSTREAM6]) {
    test(
      `ssh logs in and carries what a command prints (${host})`,
      { skip: skipWithout("ssh") },
      async () => {
        const from = engine.output.length;
        const command = "id -un; head -c 1000000 /dev/zero | wc -c";
        const { stdout, stderr } = await program(["ssh", ...ssh, `tester@${host}`, command]);
        assert.equal(stdout, "tester\n1000000\n", stderr);
        const target = `${inUrl(host)}:2222`.replaceAll(/[.[\]]/g, "\\$&");
        await engine.logs(new RegExp(`"target":"${target}"`), from);
      },
    );

    test(`git clones over ssh (${host})`, { skip: skipWithout("git", "ssh") }, async () => {
      const target = join(world.directory, `by-ssh-${host}`);
      const { status, stderr } = await program(
        ["git", "clone", "-q", `ssh://tester@${inUrl(host)}${files}/project.git`, target],
        { env: { GIT_SSH_COMMAND: ["ssh", ...ssh].join(" "), GIT_CONFIG_COUNT: "0" } },
      );
      assert.equal(status, 0, stderr);
      assert.equal(shell(`cat '${target}/README'`), "carried\n");
    });
  }

  const noApt = findProgram("apt-get") === undefined ? "apt-get is Debian's" : false;
  for (const [i, site] of SITES.entries())
    test(`apt reads a repository of ${site}`, { skip: noApt }, async () => {
      const folder = join(world.directory, `apt-${i}`);
      shell(`mkdir -p ${folder}/lists/partial ${folder}/cache/archives/partial; : >${folder}/status`);
      writeFileSync(`${folder}/sources.list`, `deb [trusted=yes] http://${site}/ ./\n`);
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
  for (const [i, site] of SITES.slice(0, 2).entries())
    test(`a browser shows a page of ${site}`, { skip: noBrowser }, async () => {
      const flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--dump-dom",
        `--user-data-dir=${world.directory}/browser-${i}`,
      ];
      const { stdout, stderr } = await program([browser!, ...flags, `http://${site}/`]);
      assert.match(stdout, /hello from far away/, stderr);
    });
}
