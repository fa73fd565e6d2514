import type {
  DescMethod,
  DescMethodBiDiStreaming,
  DescMethodClientStreaming,
  DescMethodServerStreaming,
  DescMethodUnary,
  DescService,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";

import type { Call } from "./calls.js";

/** Tells how far a start is: from 0 to 1, and what is being done. */
export type Progress = (fraction: number, text: string) => void;

/** How a method is handled, by its kind. */
export type Handler<M extends DescMethod> =
  M extends DescMethodUnary<infer I, infer O>
    ? (request: MessageShape<I>, call: Call) => Promise<MessageInitShape<O>> | MessageInitShape<O>
    : M extends DescMethodServerStreaming<infer I, infer O>
      ? (request: MessageShape<I>, call: Call) => AsyncIterable<MessageInitShape<O>>
      : M extends DescMethodClientStreaming<infer I, infer O>
        ? (
            requests: AsyncIterable<MessageShape<I>>,
            call: Call,
          ) => Promise<MessageInitShape<O>> | MessageInitShape<O>
        : M extends DescMethodBiDiStreaming<infer I, infer O>
          ? (
              requests: AsyncIterable<MessageShape<I>>,
              call: Call,
            ) => AsyncIterable<MessageInitShape<O>>
          : never;

/** The handlers of all methods of a service. */
export type Handlers<S extends DescService> = {
  [Name in keyof S["method"]]: Handler<S["method"][Name]>;
};

/** A service with its handlers. */
export interface Implementation {
  readonly service: DescService;
  readonly handlers: Readonly<Record<string, unknown>>;
}

/**
 * Says how the methods of a service are handled; the compiler sees to it that none is missing.
 *
 *     implement(InterfaceA, {
 *       async summarize(request) {
 *         return { summary: request.text };
 *       },
 *       async *streamSummary(request) {
 *         yield { text: request.text };
 *       },
 *     });
 */
export function implement<S extends DescService>(
  service: S,
  handlers: Handlers<S>,
): Implementation {
  return { service, handlers };
}

/** What a worker accepts at the most. */
export interface Limits {
  /** One message, each way. */
  readonly messageBytes: number;
  /** The metadata of one call. */
  readonly metadataBytes: number;
  /** One log record's message. */
  readonly logLineBytes: number;
  /** Calls that run at the same time; further ones wait. */
  readonly concurrentCalls: number;
}

export const DEFAULT_LIMITS: Limits = {
  messageBytes: 4 << 20,
  metadataBytes: 16 << 10,
  logLineBytes: 64 << 10,
  concurrentCalls: 100,
};

/** What a worker is. */
export interface Worker {
  readonly name: string;
  readonly version?: string;
  /** At least one. */
  readonly services: readonly Implementation[];
  /**
   * Acquires what calls need, whenever the master starts the worker. What it throws is why the start
   * failed. The signal says that the start is abandoned.
   */
  readonly start?: (signal: AbortSignal, progress: Progress) => Promise<void> | void;
  /** Releases what `start` acquired, once no call is in flight. */
  readonly stop?: () => Promise<void> | void;
  readonly limits?: Partial<Limits>;
  /** Nothing below is logged. */
  readonly logLevel?: "debug" | "info" | "warning" | "error";
  /** Where one listens that nobody launched; any free port of 127.0.0.1, if not given. */
  readonly listen?: string;
  /** What callers of one that nobody launched have to present; nothing, if not given. */
  readonly token?: string;
}
