import { randomBytes } from "node:crypto";

import { Server, ServerCredentials } from "@grpc/grpc-js";
import { HealthImplementation } from "grpc-health-check";

import { Core, LogLevel, State } from "../gen/hsu_core_pb.js";
import {
  type Address,
  addressText,
  grpcTarget,
  isLocal,
  parseAddress,
  removeStale,
} from "./address.js";
import { Calls } from "./calls.js";
import { core } from "./core.js";
import { DEFAULT_GRACE, Departure } from "./departure.js";
import { serveBehind } from "./dispatch.js";
import { entry, refuseTwoTokens } from "./entry.js";
import { Event, within } from "./event.js";
import { announceAt, isToken, type Launch } from "./launch.js";
import { Lifecycle } from "./lifecycle.js";
import { log, logTo } from "./log.js";
import { launch } from "./own.js";
import { serveReflection } from "./reflection.js";
import { Ring } from "./ring.js";
import { DEFAULT_LIMITS, type Worker } from "./worker.js";

/** How long after its announce line a worker waits for a handshake. All are milliseconds. */
const CLAIM_TIMEOUT = 15_000;
/** What calls in flight are given once the master is gone. */
const LIFELINE_GRACE = 2_000;
/** For handlers that were cut off to notice it. */
const UNWIND_TIMEOUT = 1_000;
/** How long releasing may take, once the process is on its way out. */
const FINISH_TIMEOUT = 7_000;
/** For the last log records to reach whoever follows them, and for connections to end. */
const FLUSH_TIMEOUT = 500;

/**
 * The life of a worker: it ends with the process, with code 0, or 3 when it could not begin.
 *
 * A process that a master has launched does what the master says. Any other one starts at once, says
 * on standard output where it listens, and serves until SIGTERM, SIGINT or Core.Shutdown.
 */
export async function serve(worker: Worker): Promise<never> {
  try {
    const launched = launch();
    await (launched === undefined ? serveAlone(worker) : serveLaunched(worker, launched));
  } catch (error) {
    process.stderr.write(`error: ${(error as Error).message}\n`);
    process.exit(3);
  }
  process.exit(0);
}

/** Lives as a master's worker. */
async function serveLaunched(worker: Worker, launched: Launch): Promise<void> {
  // There is nothing to drain before it is announced.
  let gone = () => process.exit(1);
  void launched.lifeline?.ended.then(() => {
    gone();
  });
  const { instance, listen, token, unit } = launched;
  const it = new Serving(worker, listen, instance, unit, token, false);
  const address = await it.listen();
  gone = (): never => {
    it.departure.ask(LIFELINE_GRACE, "the lifeline has ended");
    return undefined as never;
  };
  watchSignals(it.departure);
  announceAt(launched, address);
  void within(CLAIM_TIMEOUT, Promise.race([it.claimed.happened, it.departure.asked.happened])).then(
    (isClaimed) => {
      if (!isClaimed) {
        it.departure.ask(0, `no master made a handshake within ${String(CLAIM_TIMEOUT / 1000)} s`);
      }
    },
  );
  await it.departure.asked.happened;
  await it.shutDown();
}

/** Lives without a master. */
async function serveAlone(worker: Worker): Promise<void> {
  const at = parseAddress(worker.listen ?? "tcp:127.0.0.1:0");
  if (!isLocal(at)) {
    throw new Error(
      `address ${addressText(at)}: others in the network could read and make calls; ` +
        "listen at tcp:127.0.0.1:0",
    );
  }
  if (worker.token !== undefined && !isToken(worker.token)) {
    throw new Error("token: it holds something else than printable ASCII without spaces");
  }
  const instance = randomBytes(16).toString("hex");
  const it = new Serving(worker, at, instance, "", worker.token ?? "", true);
  const address = await it.listen();
  watchSignals(it.departure);
  const started = await Promise.race([it.start(), it.departure.asked.happened]);
  if (started !== undefined) {
    const names = worker.services.map(({ service }) => service.typeName).join(", ");
    process.stdout.write(`serving ${names} at ${addressText(address)}\n`);
  }
  await it.departure.asked.happened;
  await it.shutDown();
}

/** The first signal asks the worker to leave, a second one ends the process. */
function watchSignals(departure: Departure): void {
  let isFirst = true;
  for (const [name, number] of [
    ["SIGTERM", 15],
    ["SIGINT", 2],
  ] as const) {
    process.on(name, () => {
      if (!isFirst) {
        process.exit(128 + number);
      }
      isFirst = false;
      departure.ask(DEFAULT_GRACE, name);
    });
  }
}

/** A worker that answers: its services, with Core, health and reflection beside them. */
class Serving {
  readonly departure = new Departure();
  readonly claimed = new Event();
  readonly #draining = new Event();
  readonly #server: Server;
  readonly #lifecycle: Lifecycle;
  readonly #calls: Calls;
  readonly #own = new Calls(Infinity);
  readonly #ring: Ring;

  constructor(
    worker: Worker,
    readonly address: Address,
    instance: string,
    unit: string,
    token: string,
    isShown: boolean,
  ) {
    if (worker.services.length === 0) {
      throw new Error("services is empty: a worker serves at least one interface");
    }
    const limits = { ...DEFAULT_LIMITS, ...worker.limits };
    this.#ring = new Ring(limits.logLineBytes);
    const level = (worker.logLevel ?? "info").toUpperCase() as keyof typeof LogLevel;
    logTo(this.#ring, worker.name, LogLevel[level], isShown);
    this.#calls = new Calls(limits.concurrentCalls);
    this.#lifecycle = new Lifecycle(worker, this.#calls);
    this.#server = new Server({
      "grpc.max_receive_message_length": limits.messageBytes,
      "grpc.max_send_message_length": -1,
      // grpc-js's own bound ends connections with many large messages under way.
      "grpc-node.max_session_memory": Number.MAX_SAFE_INTEGER,
      interceptors: [entry(token, limits)],
    });
    const gate = {
      admit: (call: Parameters<Lifecycle["admit"]>[0]) => {
        this.#lifecycle.admit(call);
      },
      calls: this.#calls,
      hasSlots: true,
      messageBytes: limits.messageBytes,
      unit,
    };
    for (const each of worker.services) {
      serveBehind(gate, this.#server, each);
    }
    const coreGate = {
      admit: (call: Parameters<Calls["begin"]>[0]) => {
        this.#own.begin(call);
      },
      calls: this.#own,
      hasSlots: false,
      messageBytes: Infinity,
      unit: "",
    };
    const known = {
      worker,
      instance,
      calls: this.#calls,
      lifecycle: this.#lifecycle,
      ring: this.#ring,
      departure: this.departure,
      limits,
      claimed: this.claimed,
      draining: this.#draining,
      isOpenToAll: token === "" && address.kind === "tcp",
    };
    serveBehind(coreGate, this.#server, core(known));
    serveReflection(this.#server, [Core, ...worker.services.map(({ service }) => service)]);
    this.#serveHealth(["", ...worker.services.map(({ service }) => service.typeName)]);
  }

  #serveHealth(names: readonly string[]): void {
    const health = new HealthImplementation({ live: "SERVING" });
    const tell = (state: State) => {
      for (const name of names) {
        health.setStatus(name, state === State.RUNNING ? "SERVING" : "NOT_SERVING");
      }
    };
    tell(State.STOPPED);
    this.#lifecycle.onChange(tell);
    health.addToServer(this.#server);
  }

  /** Opens the address; returns what it is: port 0 has become the true one. */
  async listen(): Promise<Address> {
    const { address } = this;
    const wrong = (error: unknown) =>
      new Error(`address ${addressText(address)}: ${(error as Error).message}`);
    if (address.kind === "unix") {
      await removeStale(address.path).catch((error: unknown) => {
        throw wrong(error);
      });
    }
    // What is created belongs to this user alone, from its first moment on.
    const before = process.umask(0o177);
    const port = await new Promise<number>((resolve, reject) => {
      const credentials = ServerCredentials.createInsecure();
      this.#server.bindAsync(grpcTarget(address), credentials, (error, bound) => {
        if (error === null) {
          resolve(bound);
        } else {
          reject(wrong(error));
        }
      });
    }).finally(() => process.umask(before));
    refuseTwoTokens(this.#server);
    return address.kind === "tcp" ? { ...address, port } : address;
  }

  /** Starts one that nobody else starts. */
  async start(): Promise<true> {
    for await (const step of this.#lifecycle.start()) {
      if (step.state === State.FAILED) {
        throw new Error(`the start failed: ${step.reason}`);
      }
    }
    return true;
  }

  /** Leaves in this order. Core and health answer to the end. */
  async shutDown(): Promise<void> {
    // New calls are refused; health says NOT_SERVING.
    this.#lifecycle.drain();
    this.#draining.set();

    // The calls in flight, up to the grace.
    if (!(await this.departure.wait(this.#calls.ended))) {
      const count = this.#calls.cutOff();
      log.warning(`${String(count)} calls were cut off: they took longer than the grace`);
      await within(UNWIND_TIMEOUT, this.#calls.ended);
    }

    // What start has acquired.
    if (!(await this.#lifecycle.finish(FINISH_TIMEOUT))) {
      log.error(`the stop did not end within ${String(FINISH_TIMEOUT / 1000)} s`);
    }

    // Whoever follows the log reads its last record.
    log.info("left");
    this.#ring.close();
    await within(FLUSH_TIMEOUT, this.#own.ended);
    await within(
      FLUSH_TIMEOUT,
      new Promise<void>((resolve) => {
        this.#server.tryShutdown(() => {
          resolve();
        });
      }),
    );
  }
}
