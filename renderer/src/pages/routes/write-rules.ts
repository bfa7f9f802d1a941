import { edit } from "../../engine/edit.ts";

export interface Rule {
  readonly match: string;
  readonly to: string;
}

/** Writes the whole list in its new order; what was written can be undone. */
export function writeRules(rules: readonly Rule[]) {
  return edit([{ kind: "set-routes", routes: rules.map(({ match, to }) => ({ match, to })) }]);
}
