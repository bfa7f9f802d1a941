import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface CertificateFiles {
  /** The authority's certificate, PEM. */
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
}

/** An authority of its own and a server certificate for `names` (DNS names or `IP:…`), made with openssl in `folder`; with negative `days` it has expired. */
export function makeCertificate(folder: string, names: readonly string[], days = 2): CertificateFiles {
  const path = (name: string) => join(folder, name);
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  const authority = [
    "-keyout",
    path("ca.key"),
    "-out",
    path("ca.pem"),
    "-subj",
    "/CN=Sockeye test authority",
  ];
  openssl(["req", "-x509", ...key, ...authority, "-days", "2"]);
  openssl([
    "req",
    "-new",
    ...key,
    "-keyout",
    path("server.key"),
    "-out",
    path("server.csr"),
    "-subj",
    "/CN=x",
  ]);
  const alternatives = names.map((name) => (name.startsWith("IP:") ? name : `DNS:${name}`)).join(",");
  writeFileSync(path("server.ext"), `subjectAltName=${alternatives}\n`);
  const signing = ["-CA", path("ca.pem"), "-CAkey", path("ca.key"), "-CAcreateserial", "-days", String(days)];
  const files = ["-in", path("server.csr"), "-out", path("server.pem"), "-extfile", path("server.ext")];
  openssl(["x509", "-req", ...files, ...signing]);
  spawnSync("chmod", ["644", path("server.key"), path("server.pem"), path("ca.pem")]);
  return { caFile: path("ca.pem"), certFile: path("server.pem"), keyFile: path("server.key") };
}

function openssl(args: readonly string[]): void {
  const { status, stderr } = spawnSync("openssl", args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`openssl ${args[0] ?? ""} failed: ${stderr}`);
}

/** The PEM text of a server's key and certificate, as node:tls takes them. */
export function readCertificate(files: CertificateFiles): { key: string; cert: string } {
  return { key: readFileSync(files.keyFile, "utf8"), cert: readFileSync(files.certFile, "utf8") };
}
