import { create } from "@bufbuild/protobuf";
import { type Duration, DurationSchema } from "@bufbuild/protobuf/wkt";
import { status } from "@grpc/grpc-js";

import {
  Core,
  type InterfaceInfo,
  InterfaceInfoSchema,
  type StreamLogsRequest,
  type StreamLogsResponse,
  StreamLogsResponseSchema,
} from "../gen/hsu_core_pb.js";
import type { Call, Calls } from "./calls.js";
import { DEFAULT_GRACE, type Departure } from "./departure.js";
import { RpcError } from "./errors.js";
import type { Event } from "./event.js";
import { fingerprint } from "./fingerprint.js";
import { CONTRACT_VERSION } from "./launch.js";
import type { Lifecycle } from "./lifecycle.js";
import type { Ring } from "./ring.js";
import {
  type Handlers,
  implement,
  type Implementation,
  type Limits,
  type Worker,
} from "./worker.js";

/** What Core answers from. */
export interface Known {
  readonly worker: Worker;
  readonly instance: string;
  readonly calls: Calls;
  readonly lifecycle: Lifecycle;
  readonly ring: Ring;
  readonly departure: Departure;
  readonly limits: Limits;
  /** Set by each handshake. */
  readonly claimed: Event;
  /** Set as soon as new calls are refused. */
  readonly draining: Event;
  /**
   * Anybody can reach the worker and nobody has to present a token: then nobody may start it, stop
   * it or read its log from outside.
   */
  readonly isOpenToAll: boolean;
}

/** Core, which answers the master. */
export function core(known: Known): Implementation {
  const { calls, departure, instance, lifecycle, ring, worker } = known;
  const interfaces = worker.services.map(describe);
  const notForAll = (method: string) => {
    if (known.isOpenToAll) {
      throw new RpcError(
        status.PERMISSION_DENIED,
        `${method} is refused: this worker asks for no token and listens on TCP; give it a token, ` +
          "or a Unix socket",
      );
    }
  };
  const handlers: Handlers<typeof Core> = {
    ping(request) {
      // Handlers take turns on this thread: an answer proves that they get theirs.
      const load = calls.load();
      return {
        payload: request.payload,
        instance,
        state: lifecycle.state,
        uptime: uptime(),
        busy: !calls.hasRoom,
        callsInFlight: load.inFlight,
        oldestCallAge: duration(load.oldest),
        mostOverdue: duration(load.mostOverdue),
        oldestUnboundedCallAge: duration(load.oldestUnbounded),
      };
    },
    handshake() {
      known.claimed.set();
      return {
        contractVersion: CONTRACT_VERSION,
        instance,
        name: worker.name,
        version: worker.version ?? "",
        pid: process.pid,
        language: "javascript",
        interfaces,
        limits: {
          messageBytes: BigInt(known.limits.messageBytes),
          metadataBytes: BigInt(known.limits.metadataBytes),
          logLineBytes: BigInt(known.limits.logLineBytes),
          concurrentCalls: known.limits.concurrentCalls,
        },
        state: lifecycle.state,
      };
    },
    async *start() {
      notForAll("Start");
      yield* lifecycle.start();
    },
    async stop() {
      notForAll("Stop");
      return { state: await lifecycle.stop() };
    },
    getStatus() {
      const load = calls.load();
      return {
        state: lifecycle.state,
        reason: lifecycle.reason,
        uptime: uptime(),
        callsInFlight: load.inFlight,
        callsTotal: BigInt(load.total),
        idle: duration(load.idle),
        residentBytes: residentBytes(),
        log: window(ring, instance),
      };
    },
    async *streamLogs(request, call) {
      notForAll("StreamLogs");
      yield* streamLogs(ring, instance, request, call);
    },
    async shutdown(request) {
      notForAll("Shutdown");
      const asked = request.grace === undefined ? DEFAULT_GRACE : milliseconds(request.grace);
      const grace = departure.ask(asked, "Shutdown");
      await known.draining.happened;
      return { grace: duration(grace) };
    },
  };
  return implement(Core, handlers);
}

function describe({ service }: Implementation): InterfaceInfo {
  return create(InterfaceInfoSchema, {
    name: service.typeName,
    fingerprint: fingerprint(service),
    methods: service.methods.map((method) => ({
      name: method.name,
      clientStreaming: method.proto.clientStreaming,
      serverStreaming: method.proto.serverStreaming,
      input: method.input.typeName,
      output: method.output.typeName,
    })),
  });
}

/** Sends the window, then the records from a cursor on, then, when asked to, what comes. */
async function* streamLogs(
  ring: Ring,
  instance: string,
  request: StreamLogsRequest,
  call: Call,
): AsyncGenerator<StreamLogsResponse> {
  const restarted = request.instance !== "" && request.instance !== instance;
  // All that this instance has logged is news to who followed another one.
  let cursor = restarted ? 1 : Number(request.sequence) || ring.oldest;
  const end = ring.next;
  if (cursor > end) {
    throw new RpcError(
      status.OUT_OF_RANGE,
      `sequence ${String(cursor)} is past the record to come, ${String(end)}`,
    );
  }
  yield create(StreamLogsResponseSchema, { window: { ...window(ring, instance), restarted } });
  while (!call.signal.aborted) {
    const news = ring.news();
    const isClosed = ring.isClosed;
    const { dropped, records } = ring.take(cursor);
    cursor += dropped + records.length;
    const wanted = records.filter(
      (record) =>
        record.level >= request.level &&
        (request.logger === "" || `${record.logger}.`.startsWith(`${request.logger}.`)),
    );
    if (dropped > 0 || wanted.length > 0) {
      yield create(StreamLogsResponseSchema, { dropped: BigInt(dropped), records: wanted });
    }
    if (!request.follow && cursor >= end) {
      return;
    }
    if (records.length === 0) {
      if (isClosed) {
        return;
      }
      await Promise.race([news, aborted(call.signal)]);
    }
  }
}

/** Resolved when a signal is aborted. */
function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    signal.addEventListener(
      "abort",
      () => {
        resolve();
      },
      { once: true },
    );
  });
}

function window(ring: Ring, instance: string) {
  return { instance, oldest: BigInt(ring.oldest), next: BigInt(ring.next) };
}

function uptime(): Duration {
  return duration(process.uptime() * 1000);
}

function duration(milliseconds: number): Duration {
  const whole = Math.floor(milliseconds / 1000);
  const nanos = Math.floor((milliseconds - whole * 1000) * 1e6);
  return create(DurationSchema, { seconds: BigInt(whole), nanos });
}

function milliseconds(given: Duration): number {
  return Number(given.seconds) * 1000 + given.nanos / 1e6;
}

/** The memory of this process; 0 where the system doesn't tell it. */
function residentBytes(): bigint {
  try {
    return BigInt(process.memoryUsage.rss());
  } catch {
    return 0n;
  }
}
