// Asks a listening helper as another user: `UID GID [GROUP …]`. Prints `ok`, or the code and words of the refusal.
import { HelperClient, HelperError } from "../../engine/src/helper/client.ts";
import { loadHandover } from "../../engine/src/helper/handover.ts";

const [user, group, ...others] = process.argv.slice(2).map(Number);
loadHandover();
process.setgroups!(others);
process.setgid!(group!);
process.setuid!(user!);
try {
  (await HelperClient.connect()).close();
  console.log("ok");
} catch (error) {
  if (!(error instanceof HelperError)) throw error;
  console.log(`${error.code} ${error.message}`);
}
