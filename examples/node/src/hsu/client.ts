import {
  create,
  type DescMessage,
  type DescMethod,
  type DescMethodBiDiStreaming,
  type DescMethodClientStreaming,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  type DescService,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import type { Any } from "@bufbuild/protobuf/wkt";
import * as grpc from "@grpc/grpc-js";

import { grpcTarget, parseAddress } from "./address.js";
import { currentCall } from "./calls.js";
import { detailsIn, DISPATCHED, reasonIn, RpcError } from "./errors.js";
import type { Gateway } from "./gateway.js";

/** What can be said of one call. */
export interface CallOptions {
  /** Milliseconds until it is given up, a start included; for ever, if not given. */
  readonly timeout?: number;
  /** The unit that is called; the one that the master's routes name, if not given. */
  readonly unit?: string;
  /** Milliseconds that the call waits for its unit; 0 starts nothing. */
  readonly wait?: number;
  /** Cancels the call. */
  readonly signal?: AbortSignal;
  readonly metadata?: Readonly<Record<string, string>>;
}

/** How a method is called, by its kind. */
export type Calling<M extends DescMethod> =
  M extends DescMethodUnary<infer I, infer O>
    ? (request: MessageInitShape<I>, options?: CallOptions) => Promise<MessageShape<O>>
    : M extends DescMethodServerStreaming<infer I, infer O>
      ? (request: MessageInitShape<I>, options?: CallOptions) => AsyncIterable<MessageShape<O>>
      : M extends DescMethodClientStreaming<infer I, infer O>
        ? (
            requests: AsyncIterable<MessageInitShape<I>> | Iterable<MessageInitShape<I>>,
            options?: CallOptions,
          ) => Promise<MessageShape<O>>
        : M extends DescMethodBiDiStreaming<infer I, infer O>
          ? (
              requests: AsyncIterable<MessageInitShape<I>> | Iterable<MessageInitShape<I>>,
              options?: CallOptions,
            ) => AsyncIterable<MessageShape<O>>
          : never;

/** Calls all methods of a service. */
export type Client<S extends DescService> = {
  readonly [Name in keyof S["method"]]: Calling<S["method"][Name]>;
};

/** A call that ended with a status other than OK. */
export class FailedCall extends RpcError {
  override readonly name = "FailedCall";

  /**
   * @param dispatched Whether the call reached a handler: `no` only if it provably did not, so that
   *     it may be made again.
   */
  constructor(
    code: grpc.status,
    message: string,
    details: readonly Any[],
    readonly dispatched: "yes" | "no" | "unknown",
  ) {
    super(code, message, details);
  }

  /** Such as `UNAVAILABLE`. */
  get status(): string {
    return grpc.status[this.code];
  }

  /** The contract's or the master's own reason, such as `NOT_RUNNING`; empty when there is none. */
  get reason(): string {
    return reasonIn(this.details);
  }
}

/** An open connection to a gateway, or to a worker. */
export interface Connection {
  client<S extends DescService>(service: S): Client<S>;
  close(): void;
}

/**
 * Opens a connection. Each call on it presents the token. One that a handler makes ends with that
 * one's deadline, and carries its id and trace on.
 *
 *     const master = connect(findGateway());
 *     const a = master.client(InterfaceA);
 *     const reply = await a.summarize({ text: "hello" }, { timeout: 30_000 });
 *
 * Whoever calls through a gateway should not try again: what it refuses, it has tried.
 */
export function connect(gateway: Gateway): Connection {
  const channel = new grpc.Client(
    grpcTarget(parseAddress(gateway.address)),
    grpc.credentials.createInsecure(),
    {
      "grpc.enable_http_proxy": 0,
      "grpc.enable_retries": 0,
      "grpc.initial_reconnect_backoff_ms": 100,
      "grpc.max_reconnect_backoff_ms": 1000,
      // The other side bounds messages, each interface by itself.
      "grpc.max_receive_message_length": -1,
      "grpc.use_local_subchannel_pool": 1,
    },
  );
  return {
    client<S extends DescService>(service: S): Client<S> {
      const methods = service.methods.map((method) => [
        method.localName,
        calling(channel, method, gateway.token),
      ]);
      return Object.fromEntries(methods) as Client<S>;
    },
    close() {
      channel.close();
    },
  };
}

type Init = MessageInitShape<DescMessage>;
type Inits = AsyncIterable<Init> | Iterable<Init>;
type Message = MessageShape<DescMessage>;
type AnyCall = {
  cancel(): void;
  on(event: "status", listener: (status: grpc.StatusObject) => void): unknown;
};

function calling(channel: grpc.Client, method: DescMethod, token: string): unknown {
  const path = `/${method.parent.typeName}/${method.name}`;
  const serialize = (message: Init) =>
    Buffer.from(toBinary(method.input, create(method.input, message)));
  const deserialize = (raw: Buffer): Message => fromBinary(method.output, raw);
  const opening = (options: CallOptions) =>
    [metadataOf(token, options), { deadline: deadlineOf(options) }] as const;

  async function one(
    options: CallOptions,
    open: (callback: grpc.requestCallback<Message>) => AnyCall,
  ): Promise<Message> {
    let detach = () => undefined as void;
    try {
      return await new Promise<Message>((resolve, reject) => {
        const call = open((error, response) => {
          if (error === null) {
            resolve(response!);
          } else {
            reject(error);
          }
        });
        detach = cancelling(call, options);
      });
    } catch (error) {
      throw failed(error);
    } finally {
      detach();
    }
  }

  async function* many(
    call: AnyCall & AsyncIterable<Message>,
    options: CallOptions,
  ): AsyncGenerator<Message> {
    const detach = cancelling(call, options);
    try {
      yield* call;
    } catch (error) {
      throw failed(error);
    } finally {
      detach();
      // Whoever leaves the loop wants no more of it.
      call.cancel();
    }
  }

  switch (method.methodKind) {
    case "unary":
      return (request: Init, options: CallOptions = {}) =>
        one(options, (callback) =>
          channel.makeUnaryRequest(
            path,
            serialize,
            deserialize,
            request,
            ...opening(options),
            callback,
          ),
        );
    case "server_streaming":
      return (request: Init, options: CallOptions = {}) =>
        many(
          channel.makeServerStreamRequest(
            path,
            serialize,
            deserialize,
            request,
            ...opening(options),
          ),
          options,
        );
    case "client_streaming":
      return (requests: Inits, options: CallOptions = {}) =>
        one(options, (callback) => {
          const call = channel.makeClientStreamRequest(
            path,
            serialize,
            deserialize,
            ...opening(options),
            callback,
          );
          void send(call, requests);
          return call;
        });
    case "bidi_streaming":
      return (requests: Inits, options: CallOptions = {}) => {
        const call = channel.makeBidiStreamRequest(
          path,
          serialize,
          deserialize,
          ...opening(options),
        );
        void send(call, requests);
        return many(call, options);
      };
  }
}

/** Sends a stream of requests; one that breaks cancels the call, and never looks as if it had ended. */
async function send(
  call: grpc.ClientWritableStream<Init> | grpc.ClientDuplexStream<Init, Message>,
  requests: Inits,
): Promise<void> {
  let hasEnded = false;
  call.on("status", () => {
    hasEnded = true;
  });
  try {
    for await (const request of requests) {
      if (hasEnded) {
        return;
      }
      await new Promise<void>((resolve) => {
        call.write(request, () => {
          resolve();
        });
      });
    }
    call.end();
  } catch {
    call.cancel();
  }
}

/** Cancels a call with its signal, or that of the call whose handler makes it. */
function cancelling(call: AnyCall, options: CallOptions): () => void {
  const signals = [options.signal, currentCall()?.signal].filter((each) => each !== undefined);
  const cancel = () => {
    call.cancel();
  };
  for (const signal of signals) {
    if (signal.aborted) {
      cancel();
    }
    signal.addEventListener("abort", cancel);
  }
  return () => {
    for (const signal of signals) {
      signal.removeEventListener("abort", cancel);
    }
  };
}

function metadataOf(token: string, options: CallOptions): grpc.Metadata {
  const metadata = new grpc.Metadata();
  for (const [name, value] of currentCall()?.carriedOn() ?? []) {
    metadata.set(name, value);
  }
  for (const [name, value] of Object.entries(options.metadata ?? {})) {
    metadata.set(name, value);
  }
  if (token !== "") {
    metadata.set("authorization", `Bearer ${token}`);
  }
  if (options.unit !== undefined) {
    metadata.set("hsu-unit", options.unit);
  }
  if (options.wait !== undefined) {
    metadata.set("hsu-wait", String(options.wait));
  }
  return metadata;
}

function deadlineOf(options: CallOptions): number {
  const own = options.timeout === undefined ? Infinity : Date.now() + options.timeout;
  return Math.min(own, currentCall()?.deadline ?? Infinity);
}

function failed(error: unknown): unknown {
  const { code, details, metadata } = error as Partial<grpc.ServiceError>;
  if (code === undefined || metadata === undefined) {
    return error;
  }
  return new FailedCall(
    code,
    details ?? "",
    detailsIn(metadata),
    dispatch(metadata, details ?? ""),
  );
}

/** Whether a failed call reached a handler. */
function dispatch(trailers: grpc.Metadata, message: string): "yes" | "no" | "unknown" {
  const [said] = trailers.get(DISPATCHED);
  if (said === "yes" || said === "no") {
    return said;
  }
  // That is what grpc-js says of a call that it never sent; all else may have arrived.
  return /^(No connection established|Name resolution failed)/.test(message) ? "no" : "unknown";
}
