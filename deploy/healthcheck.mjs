// Asks the relay in this container whether it is well: `node deploy/healthcheck.mjs`, 0 or 1. There is no shell and no curl here.
// It finds the admin listener where the relay's variables say; where that is in a file, give it the same variables.
import http from "node:http";
import https from "node:https";

const TIMEOUT_MS = 3000;
const address = process.env["SHOWOFF_ADMIN_ADDRESS"] ?? "127.0.0.1:9470";
const secure = (process.env["SHOWOFF_ADMIN_TLS_CERT"] ?? "") !== "";
const colon = address.lastIndexOf(":");
const host = address.slice(0, colon).replace(/^\[(.*)\]$/, "$1");
const everywhere = { "0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1" };

const asked = (secure ? https : http).get(
  {
    host: everywhere[host] ?? host,
    port: Number(address.slice(colon + 1)),
    path: "/healthz",
    timeout: TIMEOUT_MS,
    // The way from this container to itself; the certificate is for others.
    rejectUnauthorized: false,
  },
  (response) => {
    response.resume();
    process.exit(response.statusCode === 200 ? 0 : 1);
  },
);
asked.on("timeout", () => asked.destroy(new Error("no answer in time")));
asked.on("error", (error) => {
  console.error(`healthcheck: ${address}: ${error.message}`);
  process.exit(1);
});
