#!/usr/bin/env node
// A worker with interface A: extractive summaries, as examples/hsu_a_service1 finds them in plain text.

import { implement, log, serve } from "../hsu/index.js";

import { readFile } from "node:fs/promises";

import { InterfaceA } from "../gen/hsu_a_pb.js";
import { Summarizer } from "./service.js";

/** One file for all languages: the Python example's. */
const STOP_WORDS = new URL("../../../hsu_a_service1/hsu_a_service1/stopwords.txt", import.meta.url);

if (process.argv.length > 2) {
  process.stderr.write(`error: unknown argument ${JSON.stringify(process.argv[2])}\n`);
  process.exit(2);
}

const summarizer = new Summarizer();

await serve({
  name: "hsu-a-node",
  version: "0.1.0",
  services: [implement(InterfaceA, summarizer)],
  async start(_signal, progress) {
    progress(0, "reading the stop words");
    summarizer.load(await readFile(STOP_WORDS, "utf8"));
    log.info("loaded");
  },
  stop() {
    summarizer.unload();
  },
});
