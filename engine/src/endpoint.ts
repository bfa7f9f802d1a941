export { type Endpoint, formatEndpoint, isHost, parseEndpoint } from "@sockeye/config-kit/endpoint";
