import assert from "node:assert/strict";
import { test } from "node:test";

import { Metadata } from "@grpc/grpc-js";

import { State } from "../gen/hsu_core_pb.js";
import { Calls, RunningCall } from "./calls.js";
import { Departure } from "./departure.js";
import { Lifecycle } from "./lifecycle.js";
import { logTo } from "./log.js";
import { Ring } from "./ring.js";
import type { Worker } from "./worker.js";

logTo(new Ring(1000), "test", 10, false);

function lifecycle(hooks: Partial<Worker> = {}) {
  const calls = new Calls(1);
  return { calls, it: new Lifecycle({ name: "x", services: [], ...hooks }, calls) };
}

async function states(it: Lifecycle): Promise<string[]> {
  const seen = [];
  for await (const step of it.start()) {
    seen.push(step.reason === "" ? State[step.state] : `${State[step.state]}: ${step.reason}`);
  }
  return seen;
}

function call(): RunningCall {
  return new RunningCall("/x.X/Y", new Metadata(), Infinity, "unit");
}

test("it starts and stops time after time, also when there is nothing to stop", async () => {
  const done: string[] = [];
  const { it } = lifecycle({ start: () => void done.push("+"), stop: () => void done.push("-") });
  for (let round = 0; round < 3; round++) {
    assert.equal((await states(it)).at(-1), "RUNNING");
    assert.deepEqual(await states(it), ["RUNNING"]);
    assert.equal(await it.stop(), State.STOPPED);
    assert.equal(await it.stop(), State.STOPPED);
  }
  assert.equal(done.join(""), "+-+-+-");
});

test("a start that fails says why, and can be made again", async () => {
  let isBroken = true;
  const { it } = lifecycle({
    start() {
      if (isBroken) {
        throw new Error("no model");
      }
    },
  });
  assert.equal((await states(it)).at(-1), "FAILED: no model");
  assert.equal(it.reason, "no model");
  isBroken = false;
  assert.equal((await states(it)).at(-1), "RUNNING");
  assert.equal(it.reason, "");
});

test("those who start at the same time have the same end", async () => {
  let starts = 0;
  const { it } = lifecycle({ start: () => void starts++ });
  const ends = await Promise.all([states(it), states(it)]);
  assert.deepEqual(
    ends.map((each) => each.at(-1)),
    ["RUNNING", "RUNNING"],
  );
  assert.equal(starts, 1);
});

test("a stop during a start abandons it", async () => {
  const { it } = lifecycle({
    start: (signal) =>
      new Promise((_, reject) => {
        signal.addEventListener("abort", () => {
          reject(new Error("abandoned"));
        });
      }),
  });
  const starting = states(it);
  await it.start().next();
  assert.equal(await it.stop(), State.STOPPED);
  assert.equal((await starting).at(-1), "FAILED: stopped before it had started");
});

test("a stop waits for calls in flight, and refuses new ones", async () => {
  const { it, calls } = lifecycle();
  await states(it);
  const one = call();
  it.admit(one);
  const stopping = it.stop();
  assert.throws(() => {
    it.admit(call());
  }, /the worker is STOPPING/);
  assert.equal(it.state, State.STOPPING);
  const started = states(it);
  calls.end(one);
  assert.equal(await stopping, State.STOPPED);
  assert.equal((await started).at(-1), "RUNNING");
});

test("once it drains it starts nothing more", async () => {
  const { it } = lifecycle();
  await states(it);
  it.drain();
  assert.equal(await it.stop(), State.DRAINING);
  await assert.rejects(states(it), /DRAINING, and starts nothing more/);
  assert.equal(await it.finish(1000), true);
});

test("a call that finds no slot waits for one", async () => {
  const calls = new Calls(1);
  assert.equal(calls.takeSlot(), undefined);
  const waiting = calls.takeSlot();
  assert.equal(calls.hasRoom, false);
  calls.leaveSlot();
  await waiting;
  assert.equal(calls.hasRoom, false);
  calls.leaveSlot();
  assert.equal(calls.hasRoom, true);
});

test("a later wish to leave shortens the grace, and never lengthens it", async () => {
  const departure = new Departure();
  assert.equal(departure.ask(60_000, "first"), 60_000);
  const waited = departure.wait(new Promise(() => undefined));
  assert.ok(departure.ask(120_000, "longer") <= 60_000);
  assert.equal(departure.ask(0, "now"), 0);
  assert.equal(await waited, false);
  assert.equal(await departure.wait(Promise.resolve()), true);
});
