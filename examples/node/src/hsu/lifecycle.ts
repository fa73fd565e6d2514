import { create } from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";

import { type StartResponse, StartResponseSchema, State } from "../gen/hsu_core_pb.js";
import type { Calls, RunningCall } from "./calls.js";
import { errorInfo, Refusal, RpcError, sendable } from "./errors.js";
import { Bell, Event, within } from "./event.js";
import { log } from "./log.js";
import type { Progress, Worker } from "./worker.js";

const STOPPED_EARLY = "stopped before it had started";

/** One time that what the worker needs is acquired and released. */
class Run {
  readonly abandoned = new AbortController();
  readonly leave = new Event();
  progress = create(StartResponseSchema, { state: State.STARTING });
  /** The start's last message, once it has ended. */
  outcome: StartResponse | undefined;
  ended: Promise<void> = Promise.resolve();

  askToLeave(): void {
    this.leave.set();
    if (this.outcome === undefined) {
      this.abandoned.abort(new Error(STOPPED_EARLY));
    }
  }
}

/** The state of a worker; Start, Stop and Shutdown of Core are calls to it. */
export class Lifecycle {
  readonly #worker: Worker;
  readonly #calls: Calls;
  /** Rung when the state is another one, or the progress of a start is. */
  readonly #bell = new Bell();
  readonly #listeners: ((state: State) => void)[] = [];
  #state = State.STOPPED;
  #reason = "";
  #run: Run | undefined;
  #stopping: Promise<void> | undefined;

  constructor(worker: Worker, calls: Calls) {
    this.#worker = worker;
    this.#calls = calls;
  }

  get state(): State {
    return this.#state;
  }

  /** Why the last start failed; in FAILED only. */
  get reason(): string {
    return this.#reason;
  }

  onChange(listener: (state: State) => void): void {
    this.#listeners.push(listener);
  }

  /** Lets a call in and counts it, in RUNNING. */
  admit(call: RunningCall): void {
    if (this.#state !== State.RUNNING) {
      throw new Refusal(
        status.UNAVAILABLE,
        `the worker is ${State[this.#state]}, and answers calls in RUNNING only`,
        [errorInfo(this.#state === State.DRAINING ? "DRAINING" : "NOT_RUNNING")],
      );
    }
    this.#calls.begin(call);
  }

  /**
   * Acquires what the worker needs, or joins whoever does. Tells each step; the last one holds
   * RUNNING or FAILED. Whoever leaves stops nothing.
   */
  async *start(): AsyncGenerator<StartResponse> {
    while (this.#stopping !== undefined) {
      await this.#stopping;
    }
    if (this.#state === State.DRAINING) {
      throw new RpcError(
        status.FAILED_PRECONDITION,
        "the worker is DRAINING, and starts nothing more",
      );
    }
    const run = this.#run ?? this.#begin();
    let told: StartResponse | undefined;
    while (run.outcome === undefined) {
      const news = this.#bell.next();
      if (told === run.progress) {
        await news;
      } else {
        told = run.progress;
        yield told;
      }
    }
    yield run.outcome;
  }

  #begin(): Run {
    const run = new Run();
    this.#run = run;
    this.#set(State.STARTING);
    run.ended = this.#live(run);
    return run;
  }

  /** Acquires and releases. */
  async #live(run: Run): Promise<void> {
    const began = performance.now();
    const progress: Progress = (fraction, text) => {
      run.progress = create(StartResponseSchema, {
        state: State.STARTING,
        fraction: Math.min(1, Math.max(0, fraction)),
        text: sendable(text),
      });
      this.#bell.ring();
    };
    try {
      await this.#worker.start?.(run.abandoned.signal, progress);
    } catch (error) {
      this.#acquired(run, error);
      // At the same moment: whoever reads FAILED may start again.
      this.#run = undefined;
      return;
    }
    this.#acquired(run);
    if (this.#state === State.RUNNING) {
      log.info(`running after ${((performance.now() - began) / 1000).toFixed(3)} s`);
    }
    await run.leave.happened;
    try {
      await this.#worker.stop?.();
    } catch (error) {
      log.error("the stop failed", { error });
    }
    this.#run = undefined;
  }

  /** Notes how a start has ended. */
  #acquired(run: Run, error?: unknown): void {
    if (run.leave.has || this.#state === State.DRAINING) {
      run.outcome = failed(STOPPED_EARLY);
    } else if (error !== undefined) {
      run.outcome = failed(error instanceof Error ? error.message : String(error));
      log.error("the start failed", { error });
      this.#set(State.FAILED, run.outcome.reason);
    } else {
      run.outcome = create(StartResponseSchema, { state: State.RUNNING, fraction: 1 });
      this.#set(State.RUNNING);
    }
    this.#bell.ring();
  }

  /** Releases what the worker holds once the calls in flight have ended; the process stays. */
  async stop(): Promise<State> {
    if (this.#state !== State.DRAINING) {
      this.#stopping ??= this.#stopNow().finally(() => {
        this.#stopping = undefined;
      });
      await this.#stopping;
    }
    // It may have begun to drain meanwhile.
    return this.state === State.DRAINING ? State.DRAINING : State.STOPPED;
  }

  async #stopNow(): Promise<void> {
    const run = this.#run;
    if (run !== undefined) {
      const ended = this.#state === State.RUNNING ? this.#calls.ended : Promise.resolve();
      this.#set(State.STOPPING);
      await ended;
      run.askToLeave();
      await run.ended;
    }
    this.#set(State.STOPPED);
  }

  /** Refuses new calls from now on, for good. */
  drain(): void {
    this.#set(State.DRAINING);
  }

  /** Releases what the worker holds, on the way out; whether that ended in time. */
  async finish(milliseconds: number): Promise<boolean> {
    const run = this.#run;
    run?.askToLeave();
    return within(milliseconds, run?.ended ?? Promise.resolve());
  }

  /** Changes the state, unless the worker is on its way out. */
  #set(state: State, reason = ""): void {
    if (this.#state !== State.DRAINING) {
      this.#state = state;
      this.#reason = reason;
      for (const listener of this.#listeners) {
        listener(state);
      }
      this.#bell.ring();
    }
  }
}

function failed(reason: string): StartResponse {
  return create(StartResponseSchema, { state: State.FAILED, reason: sendable(reason) });
}
