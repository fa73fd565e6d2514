import { AsyncLocalStorage } from "node:async_hooks";
import { randomBytes } from "node:crypto";

import type { Metadata } from "@grpc/grpc-js";

import { Event } from "./event.js";

/** The metadata that names a call, and those that its handler makes. */
const CALL_ID = "hsu-call-id";
/** The metadata that names the units which a call has come through. */
const CHAIN = "hsu-call-chain";

/** What a handler knows of the call that it answers. */
export interface Call {
  /** In hex; the log has it, and calls that the handler makes carry it on. */
  readonly id: string;
  /** Such as `/hsu.a.v1.InterfaceA/Summarize`. */
  readonly path: string;
  /** What the caller sent. */
  readonly metadata: Metadata;
  /** Milliseconds since the epoch; Infinity when the caller waits for ever. */
  readonly deadline: number;
  /** Aborted when nobody waits for the answer any more, or the worker cuts the call off. */
  readonly signal: AbortSignal;
}

/** A call that has been let in and whose handler has not ended. */
export class RunningCall implements Call {
  readonly id: string;
  readonly began = performance.now();
  /** Set when the worker ends the call by itself. */
  readonly cut = new Event();
  /** Set when nobody waits for the answer any more. */
  readonly left = new Event();
  readonly #controller = new AbortController();
  #givenUp = Infinity;

  constructor(
    readonly path: string,
    readonly metadata: Metadata,
    readonly deadline: number,
    readonly unit: string,
  ) {
    const given = metadata.get(CALL_ID).join(",");
    this.id = /^[0-9a-f]{8,64}$/.test(given) ? given : randomBytes(8).toString("hex");
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Nobody waits for the answer any more. */
  abandon(): void {
    this.#giveUp();
    this.left.set();
  }

  /** The call took longer than the grace. */
  cutOff(): void {
    this.cut.set();
    this.#giveUp();
  }

  /** By how many milliseconds it has outlived its deadline, or its caller. */
  overdue(now: number): number {
    const late = Math.max(0, Date.now() - this.deadline);
    return Math.max(late, now - this.#givenUp, 0);
  }

  /** Whether the call has come through its own unit already. */
  get isCycle(): boolean {
    const chain = this.metadata.get(CHAIN).join(",").split(",");
    return this.unit !== "" && chain.includes(this.unit);
  }

  /** What the calls carry on that the handler makes. */
  carriedOn(): Map<string, string> {
    const carried = new Map([[CALL_ID, this.id]]);
    for (const name of ["traceparent", "tracestate"]) {
      const [value] = this.metadata.get(name);
      if (value !== undefined) {
        carried.set(name, value.toString());
      }
    }
    if (this.unit !== "") {
      carried.set(CHAIN, [...this.metadata.get(CHAIN), this.unit].join(","));
    }
    return carried;
  }

  #giveUp(): void {
    this.#givenUp = Math.min(this.#givenUp, performance.now());
    this.#controller.abort();
  }
}

const current = new AsyncLocalStorage<RunningCall>();

/** The call that is being handled here; undefined outside of one. */
export function currentCall(): RunningCall | undefined {
  return current.getStore();
}

/** Handles a call: what is called in there finds it as the current one. */
export function handling<T>(call: RunningCall, handler: () => T): T {
  return current.run(call, handler);
}

/** How busy the worker is; times in milliseconds. */
export interface Load {
  readonly inFlight: number;
  readonly total: number;
  readonly idle: number;
  readonly oldest: number;
  readonly oldestUnbounded: number;
  readonly mostOverdue: number;
}

/**
 * Counts calls from when they are let in until their handler has ended: one whose caller has left
 * still counts. So many run at the same time; more wait for a slot.
 */
export class Calls {
  readonly #running = new Set<RunningCall>();
  readonly #waiting: (() => void)[] = [];
  #free: number;
  #total = 0;
  #lastActivity = performance.now();
  #ended = new Event();

  constructor(slots: number) {
    this.#free = slots;
    this.#ended.set();
  }

  begin(call: RunningCall): void {
    if (this.#running.size === 0) {
      this.#ended = new Event();
    }
    this.#running.add(call);
    this.#total++;
    this.#lastActivity = call.began;
  }

  end(call: RunningCall): void {
    this.#running.delete(call);
    this.#lastActivity = performance.now();
    if (this.#running.size === 0) {
      this.#ended.set();
    }
  }

  /** Resolved when no call is in flight. */
  get ended(): Promise<void> {
    return this.#ended.happened;
  }

  get hasRoom(): boolean {
    return this.#free > 0;
  }

  /** Takes a slot; undefined when one is free, else a promise of it. */
  takeSlot(): Promise<void> | undefined {
    if (this.#free > 0) {
      this.#free--;
      return undefined;
    }
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
    });
  }

  leaveSlot(): void {
    const next = this.#waiting.shift();
    if (next === undefined) {
      this.#free++;
    } else {
      next();
    }
  }

  /** Ends the calls that still run, and tells how many there were. */
  cutOff(): number {
    for (const call of this.#running) {
      call.cutOff();
    }
    return this.#running.size;
  }

  load(): Load {
    const now = performance.now();
    const calls = [...this.#running];
    const most = (ages: number[]) => Math.max(0, ...ages);
    return {
      inFlight: calls.length,
      total: this.#total,
      idle: now - this.#lastActivity,
      oldest: most(calls.map((call) => now - call.began)),
      oldestUnbounded: most(
        calls.filter((call) => call.deadline === Infinity).map((call) => now - call.began),
      ),
      mostOverdue: most(calls.map((call) => call.overdue(now))),
    };
  }
}
