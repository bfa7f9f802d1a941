import { ControlError } from "./control-error.ts";
import { ClientSession, type Channel, type ClientMessage } from "./protocol.ts";

/** A connection to an engine, whatever carries it. A browser imports this file: nothing here may need Node. */
export interface ControlClient extends Pick<ClientSession, "call" | "listen"> {
  /** Resolves when the connection has ended, from either side. */
  readonly closed: Promise<void>;
  close(): void;
}

/** What a client's transport does. */
export interface ClientTransport extends Omit<Channel<ClientMessage>, "close"> {
  /** Says goodbye and ends the connection. */
  close(): void;
  /** Ends it at once: what comes from the other side can't be relied on. */
  abort(): void;
}

/** A client, and what its transport hears for it. */
export interface ClientEnds {
  readonly client: ControlClient;
  /** A message as it came, read by `read`, which throws where it is none. */
  readonly receive: (read: () => unknown) => void;
  /** The connection has ended. `why` is the other side's word, where it had one. */
  readonly ended: (why?: string) => void;
}

/** The client on a transport that is open. */
export function createControlClient(transport: ClientTransport): ClientEnds {
  const { promise: closed, resolve } = Promise.withResolvers<undefined>();
  const session = new ClientSession({
    send: (message) => transport.send(message),
    get bufferedBytes() {
      return transport.bufferedBytes;
    },
    close: () => transport.abort(),
  });
  return {
    client: {
      call: (name, params, options) => session.call(name, params, options),
      listen: (name, params, listener) => session.listen(name, params, listener),
      closed: closed.then(() => {}),
      close: () => transport.close(),
    },
    receive(read) {
      try {
        session.receive(read());
      } catch (error) {
        // Not JSON, or a listener of our own threw: either way nothing after it can be relied on.
        session.close(
          new ControlError("internal", "the engine's answer could not be handled", { cause: error }),
        );
        transport.abort();
      }
    },
    ended(why) {
      const sentence = "the engine ended the connection";
      session.close(new ControlError("closed", why ? `${sentence}: ${why}` : sentence));
      resolve(undefined);
    },
  };
}
