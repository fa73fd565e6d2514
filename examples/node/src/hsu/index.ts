/**
 * What docs/launch-contract.md asks of a worker, and calls to a master's gateway. Import it first:
 * it takes the launch out of the environment, and watches from then on whether the master is there.
 */

import "./own.js";

export { status } from "@grpc/grpc-js";

export type { Call } from "./calls.js";
export { currentCall } from "./calls.js";
export { type CallOptions, type Client, connect, type Connection, FailedCall } from "./client.js";
export { errorInfo, RpcError } from "./errors.js";
export { fingerprint } from "./fingerprint.js";
export { findGateway, type Gateway } from "./gateway.js";
export { log, Logger } from "./log.js";
export { serve } from "./serve.js";
export {
  type Handlers,
  implement,
  type Implementation,
  type Limits,
  type Progress,
  type Worker,
} from "./worker.js";
