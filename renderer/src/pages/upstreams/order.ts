import { useRef, useState } from "react";
import { edit } from "../../engine/edit.ts";
import { useEngine } from "../../engine/engine.ts";

export interface Order {
  /** As the person has just put them; otherwise as the configuration has them. */
  readonly names: readonly string[];
  /** @throws {ControlError} where it could not be written; the order is the configuration's again then. */
  readonly reorder: (names: readonly string[]) => Promise<void>;
}

/** The upstreams' order. It changes at once, and is written behind; while one order is being written, only the last wish waits. */
export function useOrder(): Order {
  const upstreams = useEngine((state) => state.upstreams);
  const known = upstreams.flatMap(({ name, type }) => (type === "direct" ? [] : [name]));
  const [wished, setWished] = useState<readonly string[]>();
  const latest = useRef<readonly string[]>(undefined);
  const writing = useRef<Promise<void>>(undefined);

  const write = async () => {
    try {
      for (let names = latest.current; names !== undefined;) {
        await edit([{ kind: "order-upstreams", names: [...names] }]);
        names = latest.current === names ? undefined : latest.current;
      }
    } finally {
      latest.current = undefined;
      writing.current = undefined;
      setWished(undefined);
    }
  };

  return {
    // One that came or went meanwhile shows that the wish is about another list.
    names: wished && sameMembers(wished, known) ? wished : known,
    reorder: (names) => {
      latest.current = names;
      setWished(names);
      return (writing.current ??= write());
    },
  };
}

function sameMembers(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((one) => b.includes(one));
}
