import type { RelayObserver } from "./observer.ts";

/** Tells several observers the same, in their order. */
export function joined(observers: readonly RelayObserver[]): RelayObserver {
  if (observers.length === 1) return observers[0]!;
  const all = (tell: (observer: RelayObserver) => void) => {
    for (const observer of observers) tell(observer);
  };
  return {
    clientConnected: (client, identity, source) =>
      all((each) => each.clientConnected(client, identity, source)),
    clientDisconnected: (client, reason) => all((each) => each.clientDisconnected(client, reason)),
    connectionRefused: (listener, source, reason) =>
      all((each) => each.connectionRefused(listener, source, reason)),
    clientRefused: (source, refusal) => all((each) => each.clientRefused(source, refusal)),
    shareRefused: (client, refusal) => all((each) => each.shareRefused(client, refusal)),
    shared: (client, address) => all((each) => each.shared(client, address)),
    unshared: (client, address) => all((each) => each.unshared(client, address)),
    connectionOpened: (listener) => all((each) => each.connectionOpened(listener)),
    connectionClosed: (listener) => all((each) => each.connectionClosed(listener)),
    requestStarted: (start) => all((each) => each.requestStarted(start)),
    carried: (carried) => all((each) => each.carried(carried)),
    requestEnded: (end) => all((each) => each.requestEnded(end)),
    problem: (what, error) => all((each) => each.problem(what, error)),
    certificatesReloaded: (listener, certificates) =>
      all((each) => each.certificatesReloaded(listener, certificates)),
    draining: (deadlineMs) => all((each) => each.draining(deadlineMs)),
  };
}

/** An observer that hears what it has a method for. */
export function observing(methods: Partial<RelayObserver>): RelayObserver {
  const deaf = () => {};
  return {
    clientConnected: deaf,
    clientDisconnected: deaf,
    connectionRefused: deaf,
    clientRefused: deaf,
    shareRefused: deaf,
    shared: deaf,
    unshared: deaf,
    connectionOpened: deaf,
    connectionClosed: deaf,
    requestStarted: deaf,
    carried: deaf,
    requestEnded: deaf,
    problem: deaf,
    certificatesReloaded: deaf,
    draining: deaf,
    ...methods,
  };
}
