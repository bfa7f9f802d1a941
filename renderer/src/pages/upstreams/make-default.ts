import { edit } from "../../engine/edit.ts";
import type { Text } from "../../i18n/text.ts";
import { toast, toastFailure } from "../../ui/toast.tsx";

/** Sends there what no rule matches, and says so. */
export async function makeDefault(name: string, text: Text): Promise<void> {
  try {
    await edit([{ kind: "set-default", to: name }]);
    const shown = name === "direct" ? text.common.direct : name;
    toast({ message: text.upstreams.isDefaultNow(shown) });
  } catch (error) {
    toastFailure(error);
  }
}
