import type { Language } from "./language.ts";

export interface Format {
  readonly language: Language;
  readonly number: (value: number) => string;
  /** `1.4 MB`. */
  readonly bytes: (bytes: number) => string;
  /** `1.4 MB/s`. */
  readonly rate: (bytesPerSecond: number) => string;
  /** `12 ms`, `1.2 s`. */
  readonly latency: (ms: number) => string;
  /** `3 s`, `4 min`, `2 h 10 min`, `3 d 4 h`. */
  readonly duration: (ms: number) => string;
  /** `14:03:09` */
  readonly time: (at: number) => string;
  /** `14:03` */
  readonly clock: (at: number) => string;
  /** `21 Nov, 14:03` */
  readonly moment: (at: number) => string;
}

const BYTE_UNITS = ["B", "kB", "MB", "GB", "TB", "PB"];

const formats = new Map<Language, Format>();

export function formatOf(language: Language): Format {
  let format = formats.get(language);
  if (!format) formats.set(language, (format = create(language)));
  return format;
}

function create(language: Language): Format {
  const locale = language === "en" ? "en-GB" : "de-DE";
  const whole = new Intl.NumberFormat(locale, { maximumFractionDigits: 0 });
  const one = new Intl.NumberFormat(locale, { maximumFractionDigits: 1, minimumFractionDigits: 1 });
  const time = new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  const clock = new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit" });
  const moment = new Intl.DateTimeFormat(locale, {
    day: "numeric",
    month: "short",
    hour: "2-digit",
    minute: "2-digit",
  });
  const bytes = (value: number) => {
    let unit = 0;
    let scaled = value;
    while (scaled >= 999.5 && unit < BYTE_UNITS.length - 1) {
      scaled /= 1000;
      unit++;
    }
    const digits = unit === 0 || scaled >= 99.95 ? whole : one;
    return `${digits.format(scaled)} ${BYTE_UNITS[unit]}`;
  };
  return {
    language,
    number: (value) => whole.format(value),
    bytes,
    rate: (value) => `${bytes(value)}/s`,
    latency: (ms) =>
      ms < 999.5
        ? `${ms > 0 && ms < 9.95 ? one.format(ms) : whole.format(ms)} ms`
        : `${one.format(ms / 1000)} s`,
    duration: (ms) => {
      const seconds = Math.max(0, Math.floor(ms / 1000));
      const [days, hours, minutes] = [
        Math.floor(seconds / 86_400),
        Math.floor(seconds / 3600) % 24,
        Math.floor(seconds / 60) % 60,
      ];
      if (days > 0) return `${days} d ${hours} h`;
      if (hours > 0) return `${hours} h ${minutes} min`;
      return minutes > 0 ? `${minutes} min` : `${seconds} s`;
    },
    time: (at) => time.format(at),
    clock: (at) => clock.format(at),
    moment: (at) => moment.format(at),
  };
}
