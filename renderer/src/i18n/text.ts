import { useLanguage } from "../preferences/preferences.ts";
import { de } from "./de/index.ts";
import { en } from "./en/index.ts";
import { type Format, formatOf } from "./format.ts";
import type { Language } from "./language.ts";

export type { Format };

/** English is the model: another language that lacks a sentence does not compile. */
export type Text = typeof en;

const texts: Readonly<Record<Language, Text>> = { en, de };

/** The sentences of the language in use. */
export function useText(): Text {
  return texts[useLanguage()];
}

/** Numbers, sizes and times as the language writes them. */
export function useFormat(): Format {
  return formatOf(useLanguage());
}
