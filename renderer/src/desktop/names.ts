/** Apart from the contract, so that the preload script knows them without bringing the schemas along. */

export const BRIDGE_NAME = "sockeye";
export const ENGINE_PORT = "sockeye:engine-port";
