#!/usr/bin/env node
// Summarises a file through the gateway of a running master; it starts nothing itself.

import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";

import { InterfaceA } from "../gen/hsu_a_pb.js";
import { connect, FailedCall, findGateway } from "../hsu/index.js";

const USAGE = `usage: node dist/client/main.js [options] FILE

Summarises a text through interface A, of the master that HSU_MASTER names. FILE - is standard input.

  --address ADDRESS     where the master listens, or the folder of its socket
  --token-file FILE     holds its token
  --sentences N         how many to choose (3)
  --stream              print each sentence as soon as its place is certain, best first
  --unit NAME           the unit to call; the one that the master's routes name, if not given
  --wait SECONDS        how long to wait until the unit runs; 0 starts nothing
  --timeout SECONDS     give up after so long, a start included (30)
`;

class UsageError extends Error {}

function options() {
  let parsed;
  try {
    parsed = parseArgs({
      allowPositionals: true,
      options: {
        address: { type: "string" },
        "token-file": { type: "string" },
        sentences: { type: "string", default: "3" },
        stream: { type: "boolean", default: false },
        unit: { type: "string" },
        wait: { type: "string" },
        timeout: { type: "string", default: "30" },
        help: { type: "boolean", short: "h", default: false },
      },
    });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  const { values, positionals } = parsed;
  if (values.help) {
    process.stdout.write(USAGE);
    process.exit(0);
  }
  if (positionals.length !== 1) {
    throw new UsageError("name one file, or - for standard input");
  }
  const sentences = number("--sentences", values.sentences);
  if (!Number.isInteger(sentences) || sentences > 2 ** 32 - 1) {
    throw new UsageError(`--sentences ${values.sentences}: not a whole number`);
  }
  return {
    file: positionals[0]!,
    address: values.address,
    tokenFile: values["token-file"],
    sentences,
    isStream: values.stream,
    call: {
      timeout: 1000 * number("--timeout", values.timeout),
      ...(values.wait !== undefined && { wait: 1000 * number("--wait", values.wait) }),
      ...(values.unit !== undefined && { unit: values.unit }),
    },
  };
}

function number(option: string, text: string): number {
  if (!/^\d+(\.\d+)?$/.test(text)) {
    throw new UsageError(`${option} ${text}: not a number`);
  }
  return Number(text);
}

async function main(): Promise<void> {
  const { file, address, tokenFile, sentences, isStream, call } = options();
  const text = readFileSync(file === "-" ? 0 : file, "utf8");
  const master = connect(findGateway(address, tokenFile));
  try {
    const a = master.client(InterfaceA);
    if (isStream) {
      for await (const chunk of a.streamSummary({ text, sentences }, call)) {
        process.stdout.write(`${String(chunk.rank)}  ${chunk.text}\n`);
      }
    } else {
      const reply = await a.summarize({ text, sentences }, call);
      process.stdout.write(`${reply.summary}\n`);
    }
  } finally {
    master.close();
  }
}

/** What an error says, and whether the call reached a handler. */
function told(error: unknown): string {
  if (error instanceof FailedCall) {
    const reason = error.reason === "" ? "" : `, ${error.reason}`;
    return `${error.status}: ${error.message} (dispatched: ${error.dispatched}${reason})`;
  }
  return (error as Error).message;
}

// Whoever reads no further wants no more.
process.stdout.on("error", () => process.exit(1));

try {
  await main();
} catch (error) {
  process.stderr.write(`error: ${told(error)}\n`);
  if (error instanceof UsageError) {
    process.stderr.write(`\n${USAGE}`);
    process.exit(2);
  }
  process.exit(1);
}
