/** `example.com:443`, `10.0.0.1:22`, `[2001:db8::1]:443`; a URL gives its host and port; without a port 443. */
export function parseTarget(text: string): { host: string; port: number } | undefined {
  const plain = text.trim();
  const url = /^https?:\/\//i.test(plain) && URL.canParse(plain) ? new URL(plain) : undefined;
  if (url) {
    return { host: bare(url.hostname), port: Number(url.port) || (url.protocol === "http:" ? 80 : 443) };
  }
  const [, host, port] = /^(\[[\da-f:.]+\]|[^\s:/[\]]+)(?::(\d{1,5}))?$/i.exec(plain) ?? [];
  if (host === undefined || host.length > 255) return undefined;
  const number = port === undefined ? 443 : Number(port);
  return number >= 1 && number <= 65_535 ? { host: bare(host), port: number } : undefined;
}

function bare(host: string): string {
  return host.replace(/^\[|\]$/g, "");
}
