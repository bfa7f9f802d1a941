import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { Html, html } from "../../html.ts";
import { VERSION } from "../../version.ts";
import type { AdminPage } from "../server.ts";
import { chart, requests, shares, type Shown, state, tiles } from "./parts.ts";

const STYLE = new Html(readFileSync(new URL("style.css", import.meta.url), "utf8"));
const SCRIPT = new Html(readFileSync(new URL("live.js", import.meta.url), "utf8"));

/** The pages of the dashboard by their paths: all of it, and the parts that change, which it asks for again and again. */
export function dashboardPages(shown: () => Shown): ReadonlyMap<string, AdminPage> {
  return new Map([
    ["/", (_request, response) => sendPage(response, shown())],
    ["/live", (_request, response) => send(response, livePage(shown()), "default-src 'none'")],
  ] satisfies [string, AdminPage][]);
}

function sendPage(response: ServerResponse, shown: Shown): void {
  const nonce = randomBytes(18).toString("base64");
  const policy = [
    "default-src 'none'",
    `script-src 'nonce-${nonce}'`,
    `style-src 'nonce-${nonce}'`,
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ];
  send(response, page(shown, nonce), policy.join("; "));
}

function send(response: ServerResponse, { text }: Html, policy: string): void {
  const body = Buffer.from(text);
  response.writeHead(200, {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Length": body.length,
    "Content-Security-Policy": policy,
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
  });
  response.end(body);
}

/** Parts of tables stand in tables: a browser's parser would drop them otherwise. */
function livePage(shown: Shown): Html {
  return html`<!doctype html><title>Showoff</title>${state(shown)}${tiles(shown)}${chart(shown)}
    <table>
      ${shares(shown)}
    </table>
    <table>
      ${requests(shown)}
    </table>`;
}

function page(shown: Shown, nonce: string): Html {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>Showoff · ${shown.domain}</title>
        <style nonce="${nonce}">
          ${STYLE}
        </style>
      </head>
      <body>
        <header>
          ${MARK}
          <div class="words">
            <h1>${shown.domain}</h1>
            <p class="faint">Showoff ${VERSION}</p>
          </div>
          ${state(shown)}
          <p id="live" role="status" data-kind="still">As of now</p>
        </header>
        <main>
          <h2 class="unseen">At a glance</h2>
          ${tiles(shown)}
          <section aria-labelledby="requests-title" class="card">
            <div class="headline">
              <h2 id="requests-title">Requests</h2>
              <ul class="legend">
                <li class="served">Served</li>
                <li class="failed">Failed</li>
              </ul>
            </div>
            ${chart(shown)}
          </section>
          <div class="card">
            <h2 id="shares-title">Shares</h2>
            <div class="scroll" tabindex="0" role="region" aria-labelledby="shares-title">
              <table class="shares">
                <thead>
                  <tr>
                    <th scope="col">Address</th>
                    <th scope="col">Client</th>
                    <th scope="col" class="figure">Requests</th>
                    <th scope="col" class="figure">Failed</th>
                    <th scope="col" class="figure">Received</th>
                    <th scope="col" class="figure">Sent</th>
                    <th scope="col" class="figure">Connected</th>
                  </tr>
                </thead>
                ${shares(shown)}
              </table>
            </div>
          </div>
          <div class="card">
            <h2 id="recent-title">Lately</h2>
            <div class="scroll tall" tabindex="0" role="region" aria-labelledby="recent-title">
              <table class="recent">
                <thead>
                  <tr>
                    <th scope="col">UTC</th>
                    <th scope="col">Answer</th>
                    <th scope="col">Asked for</th>
                    <th scope="col">Share</th>
                    <th scope="col">From</th>
                    <th scope="col" class="figure">Took</th>
                    <th scope="col" class="figure">Bytes</th>
                  </tr>
                </thead>
                ${requests(shown)}
              </table>
            </div>
          </div>
          <p class="note">
            Requests and their bytes are counted when they end. Paths are shown without what follows a
            question mark.
          </p>
        </main>
        <script type="module" nonce="${nonce}">
          ${SCRIPT};
        </script>
      </body>
    </html>`;
}

/** The relay's mark: one thing, seen from afar. */
const MARK = html`<svg class="mark" viewBox="0 0 32 32" aria-hidden="true">
  <rect width="32" height="32" rx="9" />
  <circle cx="16" cy="16" r="3.25" />
  <path d="M10.6 21.4a7.6 7.6 0 0 1 0-10.8M21.4 10.6a7.6 7.6 0 0 1 0 10.8" />
  <path class="far" d="M7.2 24.8a12.4 12.4 0 0 1 0-17.6M24.8 7.2a12.4 12.4 0 0 1 0 17.6" />
</svg>`;
