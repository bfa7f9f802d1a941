import { HelperClient, HelperError } from "./client.ts";

/** Who gives TUN mode its sessions with a privileged helper. */
export interface HelperSource {
  /** @throws {HelperError} */
  session(): Promise<HelperClient>;
  /** The session is not used any more. What was asked in it is undone: by release() before, or by the session's end. */
  done(client: HelperClient): void;
}

const HOW_TO_GET_ONE = "start Sockeye with sudo, or install the helper as docs/tasks/tun.md says";

/** The helper that the system runs: a session each time. */
export const systemHelper: HelperSource = {
  async session() {
    try {
      return await HelperClient.connect();
    } catch (error) {
      if (error instanceof HelperError && error.code === "version") {
        const sentence = `the privileged helper and this Sockeye are of different versions, so install both anew: ${error.message}`;
        throw new HelperError("version", sentence, { cause: error });
      }
      if (!(error instanceof HelperError) || error.code !== "missing") throw error;
      const sentence = `TUN mode needs a privileged helper, and there is none: ${HOW_TO_GET_ONE}`;
      throw new HelperError("missing", sentence, { cause: error });
    }
  },
  done: (client) => client.close(),
};

/**
 * One session for all of this process's life, with a helper that was started while there still was the right to. A device may be
 * opened in it again and again, so it ends only when it fails.
 */
export function ownHelper(client: HelperClient): HelperSource {
  let over: HelperError | undefined;
  client.onClose((error) => (over = error));
  return {
    async session() {
      if (!over) return client;
      const sentence =
        "the privileged helper of this process is gone; start Sockeye anew to have TUN mode again";
      throw new HelperError("missing", sentence, { cause: over });
    },
    done: () => {},
  };
}
