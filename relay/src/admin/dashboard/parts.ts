import { type Html, html } from "../../html.ts";
import type { PublicAddress } from "../../names/registry.ts";
import type { RelayGauges } from "../metrics.ts";
import * as figures from "./figures.ts";
import { type ClientView, isFailure, type Overview, type RequestView, type ShareView } from "./overview.ts";
import { STEPS, STEP_MS } from "./traffic.ts";

/** What a picture of the relay is made from. */
export interface Shown {
  readonly overview: Overview;
  readonly gauges: RelayGauges;
  /** Why no traffic should be sent here now; none: all is well. */
  readonly notReady: readonly string[];
  /** The domain under which names are. */
  readonly domain: string;
  /** By `Date.now()`. */
  readonly now: number;
}

/** Rows of a table; of more, it is said how many there are. */
const MAX_ROWS = 200;

/* The parts of the page that change, each with an id by which it takes the place of what it was. */

export function state({ notReady }: Shown): Html {
  return notReady.length === 0
    ? html`<p id="state" data-part class="badge ok">Ready</p>`
    : html`<p id="state" data-part class="badge warn">${notReady.join(", ")}</p>`;
}

export function tiles({ overview, gauges, now }: Shown): Html {
  const rates = overview.traffic.rates(now);
  const names = overview.clients.reduce((sum, { shares }) => sum + shares.length, 0);
  const failed = overview.traffic.steps(now).reduce((sum, step) => sum + step.failed, 0);
  const waiting = gauges.pending === 0 ? "" : `${figures.count(gauges.pending)} not taken up`;
  return html`<dl id="tiles" data-part class="tiles">
    ${tile("Clients", figures.count(gauges.clients))} ${tile("Shares", figures.count(names))}
    ${tile("Under way", figures.count(gauges.tunnels), waiting)}
    ${tile("Requests a second", figures.rate(rates.requests))}
    ${tile("To the public", `${figures.bytes(rates.bytesOut)}/s`, `${figures.bytes(rates.bytesIn)}/s from it`)}
    ${tile("Failed", figures.count(failed), "in two minutes", failed > 0 ? "bad" : "")}
  </dl>`;
}

function tile(name: string, value: string, more = "", kind = ""): Html {
  return html`<div class="tile">
    <dt>${name}</dt>
    <dd class="${kind}">${value}${more === "" ? undefined : html`<small>${more}</small>`}</dd>
  </div>`;
}

const CHART = { width: 960, height: 96, gap: 3 };

/** Requests of two minutes as bars; failed ones stand at their feet. */
export function chart({ overview, now }: Shown): Html {
  const steps = overview.traffic.steps(now);
  const most = Math.max(...steps.map(({ requests }) => requests));
  const scale = most === 0 ? 0 : (CHART.height - 4) / most;
  const wide = CHART.width / STEPS;
  const bars = steps.flatMap(({ requests, failed }, i) => {
    if (requests === 0) return [];
    const bar = (count: number, kind: string) => {
      const height = Math.max(3, count * scale);
      return html`<rect
        class="${kind}"
        x="${(i * wide).toFixed(1)}"
        y="${(CHART.height - height).toFixed(1)}"
        width="${(wide - CHART.gap).toFixed(1)}"
        height="${height.toFixed(1)}"
        rx="2"
      />`;
    };
    return failed === 0 ? [bar(requests, "served")] : [bar(requests, "served"), bar(failed, "failed")];
  });
  const total = steps.reduce((sum, { requests }) => sum + requests, 0);
  const failed = steps.reduce((sum, step) => sum + step.failed, 0);
  const perSecond = figures.rate((most * 1000) / STEP_MS);
  return html`<figure id="chart" data-part class="chart">
    <svg
      viewBox="0 0 ${CHART.width} ${CHART.height}"
      preserveAspectRatio="none"
      role="img"
      aria-label="${figures.count(total)} requests in the last two minutes, ${figures.count(failed)} of them failed"
    >
      <line x1="0" y1="${CHART.height - 0.5}" x2="${CHART.width}" y2="${CHART.height - 0.5}" />
      ${bars}
    </svg>
    <figcaption>
      <span>2 min ago</span>
      <span>${total === 0 ? "Nothing was asked for" : `at most ${perSecond} a second`}</span>
      <span>now</span>
    </figcaption>
  </figure>`;
}

export function shares(shown: Shown): Html {
  const { clients } = shown.overview;
  const rows = clients.flatMap((client) =>
    client.shares.length === 0
      ? [shareRow(shown, client, undefined)]
      : client.shares.map((share) => shareRow(shown, client, share)),
  );
  if (rows.length === 0)
    return html`<tbody id="shares" data-part>
      <tr>
        <td colspan="7" class="empty">
          <p>No client is connected.</p>
          <p>
            <code>sockeye share 3000 --name demo --relay HOST:PORT --token-file FILE</code>
          </p>
        </td>
      </tr>
    </tbody>`;
  return html`<tbody id="shares" data-part>
    ${rows.slice(0, MAX_ROWS)} ${more(rows.length, 7)}
  </tbody>`;
}

function shareRow({ domain, now }: Shown, client: ClientView, share: ShareView | undefined): Html {
  const counts = share ?? client;
  return html`<tr>
    <th scope="row">
      ${share === undefined ? html`<span class="faint">nothing yet</span>` : place(share.address, domain)}
    </th>
    <td>${client.identity}<small>${client.source}</small></td>
    <td class="figure">${figures.count(counts.requests)}</td>
    <td class="figure ${counts.failed > 0 ? "bad" : ""}">${figures.count(counts.failed)}</td>
    <td class="figure">${figures.bytes(counts.bytesIn)}</td>
    <td class="figure">${figures.bytes(counts.bytesOut)}</td>
    <td class="figure">${figures.since(now - client.since)}</td>
  </tr>`;
}

function place(address: PublicAddress, domain: string): Html {
  return address.kind === "http"
    ? html`<b>${address.name}</b><span class="faint">.${domain}</span>`
    : html`<span class="faint">${domain}:</span><b>${address.port}</b>`;
}

export function requests(shown: Shown): Html {
  const { recent } = shown.overview;
  if (recent.length === 0)
    return html`<tbody id="requests" data-part>
      <tr>
        <td colspan="7" class="empty"><p>Nothing has been asked for yet.</p></td>
      </tr>
    </tbody>`;
  return html`<tbody id="requests" data-part>
    ${recent.map((request) => requestRow(request))}
  </tbody>`;
}

function requestRow(request: RequestView): Html {
  const { address, method, path, status, error, identity, source } = request;
  const failed = isFailure(request);
  const name = address === undefined ? "" : address.kind === "http" ? address.name : `port ${address.port}`;
  const kind = failed ? "bad" : status >= 400 ? "warn" : "plain";
  const told = method === undefined ? (failed ? "failed" : "ended") : status === 0 ? "gone" : String(status);
  return html`<tr>
    <td class="figure time">
      <time datetime="${new Date(request.at).toISOString()}">${figures.clock(request.at)}</time>
    </td>
    <td><span class="badge ${kind}">${told}</span></td>
    <td class="asked">
      ${method === undefined ? html`<b>TCP</b>` : html`<b>${method}</b> <span class="path">${path}</span>`}
      ${error === undefined ? undefined : html`<small class="${failed ? "bad" : ""}">${error}</small>`}
    </td>
    <td>${name}<small>${identity}</small></td>
    <td>${source}</td>
    <td class="figure">${figures.took(request.ms)}</td>
    <td class="figure">${figures.bytes(request.bytesIn + request.bytesOut)}</td>
  </tr>`;
}

function more(rows: number, columns: number): Html | undefined {
  if (rows <= MAX_ROWS) return undefined;
  return html`<tr>
    <td colspan="${columns}" class="faint">and ${figures.count(rows - MAX_ROWS)} more</td>
  </tr>`;
}
