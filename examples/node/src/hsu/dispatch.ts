import { type EventEmitter, once } from "node:events";

import {
  create,
  type DescMethod,
  fromBinary,
  type Message,
  type MessageInitShape,
  type DescMessage,
  toBinary,
} from "@bufbuild/protobuf";
import {
  type MethodDefinition,
  type Server,
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceDefinition,
  status,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";

import { type Calls, handling, RunningCall } from "./calls.js";
import { errorInfo, Refusal, RpcError, statusOf } from "./errors.js";
import { log } from "./log.js";
import type { Implementation } from "./worker.js";

/** What the calls of a service go through before a handler sees them. */
export interface Gate {
  /** Lets a call in and counts it, or throws. */
  readonly admit: (call: RunningCall) => void;
  readonly calls: Calls;
  /** Whether a handler takes one of the slots. */
  readonly hasSlots: boolean;
  readonly messageBytes: number;
  /** The unit that the worker stands for; empty: none. */
  readonly unit: string;
}

type Raw = Buffer;
type Responding = ServerWritableStream<Raw, Raw> | ServerDuplexStream<Raw, Raw>;
type Requesting = ServerReadableStream<Raw, Raw> | ServerDuplexStream<Raw, Raw>;
type Any = ServerUnaryCall<Raw, Raw> | Responding | Requesting;
type Callback = (error: object | null, response?: Raw) => void;

/**
 * Puts a service behind a gate. grpc-js hands the bytes on as they are: a request that is none is
 * then an error of ours, and no answer is too large without a reason.
 */
export function serveBehind(
  gate: Gate,
  server: Server,
  { service, handlers }: Implementation,
): void {
  const definition: Record<string, MethodDefinition<Raw, Raw>> = {};
  const implementation: UntypedServiceImplementation = {};
  for (const method of service.methods) {
    const path = `/${service.typeName}/${method.name}`;
    const { clientStreaming, serverStreaming } = method.proto;
    definition[method.localName] = {
      path,
      requestStream: clientStreaming,
      responseStream: serverStreaming,
      requestSerialize: same,
      requestDeserialize: same,
      responseSerialize: same,
      responseDeserialize: same,
    };
    const handler = handlers[method.localName];
    if (typeof handler !== "function") {
      throw new Error(`${service.typeName}: no handler for ${method.localName}`);
    }
    const handle = new MethodDispatch(gate, method, path, handler.bind(handlers) as AnyHandler);
    implementation[method.localName] = serverStreaming
      ? (call: Responding) => void handle.stream(call)
      : (call: Any, callback: Callback) => void handle.single(call, callback);
  }
  server.addService(definition as ServiceDefinition, implementation);
}

type Init = MessageInitShape<DescMessage>;
type AnyHandler = (request: unknown, call: RunningCall) => Promise<Init> | AsyncIterable<Init>;

class MethodDispatch {
  constructor(
    readonly gate: Gate,
    readonly method: DescMethod,
    readonly path: string,
    readonly handler: AnyHandler,
  ) {}

  /** Answers with one message. */
  async single(from: Any, callback: Callback): Promise<void> {
    try {
      const answer = await this.#handled(from, async (call) => {
        const handler = this.handler as (request: unknown, call: RunningCall) => Promise<Init>;
        return this.#encode(await handler(this.#request(from), call));
      });
      callback(null, answer);
    } catch (error) {
      callback(error as object);
    }
  }

  /** Answers with a stream. */
  async stream(from: Responding): Promise<void> {
    try {
      await this.#handled(from, async (call) => {
        const handler = this.handler as (
          request: unknown,
          call: RunningCall,
        ) => AsyncIterable<Init>;
        for await (const message of handler(this.#request(from), call)) {
          if (call.signal.aborted) {
            return;
          }
          if (!from.write(this.#encode(message))) {
            await Promise.race([once(from, "drain"), call.left.happened, call.cut.happened]);
          }
        }
      });
      from.end();
    } catch (error) {
      from.emit("error", error);
    }
  }

  /** Lets a call in, and runs its handler; throws a status as grpc-js takes it. */
  async #handled<T>(from: Any, handler: (call: RunningCall) => Promise<T>): Promise<T> {
    const call = new RunningCall(this.path, from.metadata, milliseconds(from), this.gate.unit);
    (from as EventEmitter).on("cancelled", () => {
      call.abandon();
    });
    try {
      this.gate.admit(call);
    } catch (error) {
      throw failure(call, error);
    }
    const running = this.#inSlot(call, handler).finally(() => {
      this.gate.calls.end(call);
    });
    const cut = call.cut.happened.then(() => {
      throw new RpcError(
        status.UNAVAILABLE,
        "the worker is leaving, and the call took longer than its grace",
        [errorInfo("CUT_OFF")],
      );
    });
    try {
      // A handler that looks at no signal is left to itself.
      return await Promise.race([running, cut]);
    } catch (error) {
      throw failure(call, error);
    }
  }

  async #inSlot<T>(call: RunningCall, handler: (call: RunningCall) => Promise<T>): Promise<T> {
    if (!this.gate.hasSlots) {
      return handling(call, () => handler(call));
    }
    if (!this.gate.calls.hasRoom && call.isCycle) {
      throw new Refusal(
        status.FAILED_PRECONDITION,
        `the call came back to ${this.gate.unit}, and would wait for the room that it may be ` +
          "taking itself",
        [errorInfo("CALL_CYCLE")],
      );
    }
    await this.gate.calls.takeSlot();
    try {
      if (call.signal.aborted) {
        throw new RpcError(status.CANCELLED, "the caller has gone");
      }
      return await handling(call, () => handler(call));
    } finally {
      this.gate.calls.leaveSlot();
    }
  }

  #request(from: Any): Message | AsyncIterable<Message> {
    if (this.method.proto.clientStreaming) {
      return this.#requests(from as Requesting);
    }
    return this.#decode((from as ServerUnaryCall<Raw, Raw>).request, Refusal);
  }

  async *#requests(from: Requesting): AsyncGenerator<Message> {
    for await (const raw of from) {
      // The handler has been running: it is no refusal.
      yield this.#decode(raw as Raw, RpcError);
    }
  }

  #decode(raw: Raw, kind: typeof RpcError): Message {
    try {
      return fromBinary(this.method.input, raw);
    } catch {
      throw new kind(
        status.INVALID_ARGUMENT,
        `the request of ${this.path} is no ${this.method.input.typeName}`,
        [errorInfo("MALFORMED_REQUEST")],
      );
    }
  }

  #encode(message: Init): Raw {
    const { output } = this.method;
    const raw = Buffer.from(toBinary(output, create(output, message)));
    const possible = this.gate.messageBytes;
    if (raw.length > possible) {
      throw new RpcError(
        status.RESOURCE_EXHAUSTED,
        `the response of ${this.path} has ${String(raw.length)} bytes, ${String(possible)} are ` +
          "possible: send less, or raise limits.messageBytes",
        [errorInfo("RESPONSE_TOO_LARGE")],
      );
    }
    return raw;
  }
}

/** What the caller reads when a call fails; what only the log does is logged. */
function failure(call: RunningCall, error: unknown): object {
  if (error instanceof Refusal) {
    return statusOf(error, "no");
  }
  if (error instanceof RpcError) {
    return statusOf(error, "yes");
  }
  if (call.signal.aborted) {
    // Nobody reads it.
    return statusOf(new RpcError(status.CANCELLED, "the caller has gone"), "yes");
  }
  const message = `internal error ${call.id}`;
  log.error(message, { error, method: call.path });
  return statusOf(new RpcError(status.INTERNAL, message), "yes");
}

function milliseconds(from: { getDeadline(): Date | number }): number {
  return Number(from.getDeadline());
}

function same(raw: Raw): Raw {
  return raw;
}
