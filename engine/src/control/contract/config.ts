/** The configuration: its text, edits of it, and what can be imported into it. */
import * as z from "zod";
import { configProblem } from "./failure.ts";
import { upstreamName } from "./upstream.ts";

/** The longest configuration that is read or written over the contract. */
export const MAX_CONFIG_CHARACTERS = 900_000;

export const configText = z.string().max(MAX_CONFIG_CHARACTERS);

/** The file's text is a person's own and comes whole; `config` is for showing, with each secret replaced by "•••". */
export const configDocument = z.object({
  path: z.string(),
  text: z.string(),
  /** Changes with the text; config.write wants it back. Empty where no file is there yet. */
  revision: z.string(),
  problems: z.array(configProblem),
  warnings: z.array(configProblem),
  /** Absent where the text has problems. */
  config: z.record(z.string(), z.unknown()).optional(),
});
export type ConfigDocument = z.infer<typeof configDocument>;

export type EditValue =
  string | number | boolean | null | readonly EditValue[] | { readonly [key: string]: EditValue };
const editValue: z.ZodType<EditValue> = z.lazy(() =>
  z.union([
    z.string().max(65_536),
    z.number(),
    z.boolean(),
    z.null(),
    z.array(editValue).max(100_000),
    z.record(z.string().max(255), editValue),
  ]),
);

/** Keys of the file. A key that is null is taken out; one that is not named stays as it is. */
const editMapping = z.record(z.string().max(255), editValue);

/** One change to the configuration's text, which keeps its comments and everything that is not named. */
export const configEdit = z.discriminatedUnion("kind", [
  /** Adds the upstream at the end, or changes the keys that are named. */
  z.strictObject({ kind: z.literal("set-upstream"), name: upstreamName, upstream: editMapping }),
  /** With it, in rules, `via` and the default. */
  z.strictObject({ kind: z.literal("rename-upstream"), name: upstreamName, to: upstreamName }),
  z.strictObject({ kind: z.literal("delete-upstream"), name: upstreamName }),
  /** Every upstream's name, in the order wanted. */
  z.strictObject({ kind: z.literal("order-upstreams"), names: z.array(upstreamName).max(10_000) }),
  /** The whole list. Rules that were there keep their comments. */
  z.strictObject({
    kind: z.literal("set-routes"),
    routes: z.array(z.strictObject({ match: z.string().max(1_024), to: z.string().max(255) })).max(100_000),
  }),
  z.strictObject({ kind: z.literal("set-default"), to: upstreamName }),
  /** `value` null removes the listener. */
  z.strictObject({
    kind: z.literal("set-listen"),
    listener: z.enum(["socks5", "http", "metrics", "control"]),
    value: z.union([z.string().max(255), editMapping, z.null()]),
  }),
  /** Adds the relay, or changes the keys that are named. */
  z.strictObject({ kind: z.literal("set-relay"), name: upstreamName, relay: editMapping }),
  /** With it, in the shares that go through it. */
  z.strictObject({ kind: z.literal("rename-relay"), name: upstreamName, to: upstreamName }),
  /** Shares that go through it are to be changed first, or with it. */
  z.strictObject({ kind: z.literal("delete-relay"), name: upstreamName }),
  /** Adds the share, or changes the keys that are named. */
  z.strictObject({ kind: z.literal("set-share"), name: upstreamName, share: editMapping }),
  z.strictObject({ kind: z.literal("rename-share"), name: upstreamName, to: upstreamName }),
  z.strictObject({ kind: z.literal("delete-share"), name: upstreamName }),
  z.strictObject({
    kind: z.literal("set-section"),
    section: z.enum(["tun", "limits", "log"]),
    values: editMapping,
  }),
]);

export type ControlEdit = z.infer<typeof configEdit>;

/** An upstream that an import found. */
export const importedUpstream = z.object({
  /** Free in the configuration; made so where the source's own name is taken. */
  name: z.string(),
  /** As the file would have it. A secret that stood in the source stands here in clear, and is to be stored first. */
  upstream: z.record(z.string(), z.unknown()),
  /** Where in the source: `Host bastion`, a URL without its password. */
  from: z.string(),
  warnings: z.array(z.string()),
  /** An upstream of the configuration that leads to the same place. */
  sameAs: z.string().optional(),
});
export type ImportedUpstream = z.infer<typeof importedUpstream>;
