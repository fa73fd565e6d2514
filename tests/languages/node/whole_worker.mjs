// A worker that can do all that the kit asks for: its calls last as many seconds as they ask for
// sentences, and variables make its start and its end slow or fail.

import { implement, log, RpcError, serve } from "../../../examples/node/dist/hsu/index.js";

import { setTimeout } from "node:timers/promises";

import { InterfaceA } from "../../../examples/node/dist/gen/hsu_a_pb.js";

const { SLOW_START, FAILING_START, STUCK_RELEASE, FLOOD } = process.env;

const handlers = {
  async summarize({ text, sentences }, call) {
    if (text === "") {
      throw new RpcError(3, "text is empty");
    }
    await setTimeout(sentences * 1000, undefined, { signal: call.signal });
    return { summary: text };
  },
  async *streamSummary({ text, sentences }, call) {
    await setTimeout(sentences * 1000, undefined, { signal: call.signal });
    yield* text.split(" ").map((word) => ({ text: word }));
  },
};

await serve({
  name: "whole",
  version: "1",
  services: [implement(InterfaceA, handlers)],
  async start(signal, progress) {
    for (let step = 0; SLOW_START && step < 30; step++) {
      progress(step / 30, `step ${step}`);
      await setTimeout(100, undefined, { signal });
    }
    if (FAILING_START) {
      throw new Error("there is no model");
    }
    for (let written = 0; FLOOD && written < 50 << 20; written += 1 << 16) {
      process.stdout.write("x".repeat(80).concat("\n").repeat(810));
    }
    log.info("acquired");
  },
  async stop() {
    if (STUCK_RELEASE) {
      await new Promise(() => globalThis.setTimeout(() => {}, 1e6));
    }
  },
});
