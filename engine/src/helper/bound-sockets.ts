import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { isIP } from "node:net";
import { networkInterfaces } from "node:os";
import { fileURLToPath } from "node:url";
import { DialError } from "../errors.ts";
import { parseAddress, wordMask } from "../router/address.ts";
import type { SocketSource, TakenSocket } from "../upstream/egress.ts";
import type { AddressFamily, SocketKind } from "./protocol.ts";

/** What was asked of the system counts for so long. */
const FRESH_MS = 1000;

/** native/egress, as macOS has it. */
interface MacEgress {
  /** 0 where there is no default route. */
  defaultInterface(family: AddressFamily): number;
  interfaceNumber(name: string): number;
  boundSocket(family: AddressFamily, datagram: boolean, index: number): number;
}

/** As Windows has it. */
interface WindowsEgress {
  defaultAddress(family: AddressFamily): string | undefined;
}

/** This machine's address in a network of an interface. */
export interface OwnAddress {
  readonly interface: string;
  readonly address: string;
  readonly bits: number;
}

/** How a system binds a socket past its routing table. Not yet run on macOS and Windows. */
export interface Binding {
  /** To the interface of the network that the target is in. */
  local(family: AddressFamily, kind: SocketKind, own: OwnAddress): TakenSocket;
  /** To that of the default route; undefined where there is none. */
  byDefault(family: AddressFamily, kind: SocketKind): TakenSocket | undefined;
  addresses(): readonly OwnAddress[];
}

/**
 * Sockets that pass the TUN device by because each is bound to an interface: that of the network that its target is in, or else that
 * of the default route. For systems without marks on sockets.
 */
export class BoundSockets implements SocketSource {
  readonly #binding: Binding;
  #addresses: readonly OwnAddress[] = [];
  #asked = -Infinity;

  constructor(binding = systemBinding()) {
    this.#binding = binding;
  }

  take(family: AddressFamily, kind: SocketKind, target?: string): TakenSocket {
    const own = target === undefined ? undefined : this.#networkOf(target);
    let taken;
    try {
      taken = own ? this.#binding.local(family, kind, own) : this.#binding.byDefault(family, kind);
    } catch (cause) {
      throw new DialError("internal", `a socket past the TUN device: ${(cause as Error).message}`, { cause });
    }
    if (taken !== undefined) return taken;
    throw new DialError("unreachable", `this machine has no default route for IPv${family}`);
  }

  close(): void {
    // Sockets are made when they are asked for, and are their takers'.
  }

  #networkOf(target: string): OwnAddress | undefined {
    const now = performance.now();
    if (now - this.#asked > FRESH_MS) {
      this.#addresses = this.#binding.addresses();
      this.#asked = now;
    }
    let best: OwnAddress | undefined;
    for (const own of this.#addresses) if (own.bits > (best?.bits ?? -1) && isWithin(target, own)) best = own;
    return best;
  }
}

function isWithin(target: string, { address, bits }: OwnAddress): boolean {
  const [a, b] = [parseAddress(target), parseAddress(address)];
  if (a === undefined || a.length !== b?.length) return false;
  return a.every((word, i) => ((word ^ b[i]!) & wordMask(bits - 32 * i)) === 0);
}

function systemBinding(): Binding {
  const path = fileURLToPath(new URL("../../../native/egress/build/Release/egress.node", import.meta.url));
  if (!existsSync(path)) throw new Error("native/egress is not built: `npm run build:native` builds it");
  const native: unknown = createRequire(import.meta.url)(path);
  return process.platform === "win32"
    ? windowsBinding(native as WindowsEgress)
    : macBinding(native as MacEgress);
}

/** By IP_BOUND_IF and IPV6_BOUND_IF. */
function macBinding(native: MacEgress): Binding {
  const bind = (family: AddressFamily, kind: SocketKind, index: number): number | undefined =>
    index === 0 ? undefined : native.boundSocket(family, kind === "dgram", index);
  return {
    local: (family, kind, own) => {
      const taken = bind(family, kind, native.interfaceNumber(own.interface));
      if (taken === undefined) throw new Error(`the interface ${own.interface} is gone`);
      return taken;
    },
    byDefault: (family, kind) => bind(family, kind, native.defaultInterface(family)),
    addresses: ownAddresses,
  };
}

/** By the local address, to whose interface's routes Windows then keeps (strong host sends). */
function windowsBinding(native: WindowsEgress): Binding {
  return {
    local: (_family, _kind, own) => own.address,
    byDefault: (family) => native.defaultAddress(family),
    addresses: ownAddresses,
  };
}

function ownAddresses(): OwnAddress[] {
  return Object.entries(networkInterfaces()).flatMap(([name, addresses = []]) =>
    addresses.flatMap(({ address, cidr }): OwnAddress[] =>
      cidr === null || isIP(address) === 0
        ? []
        : [{ interface: name, address, bits: Number(cidr.split("/")[1]) }],
    ),
  );
}
