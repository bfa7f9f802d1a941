export { DialError, type DialErrorCode, type DialStep } from "./errors.ts";
export { type Endpoint, formatEndpoint, parseEndpoint } from "./endpoint.ts";
