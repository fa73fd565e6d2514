import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { status } from "@grpc/grpc-js";

import { InterfaceA, type SummarizeRequest, type SummaryChunkSchema } from "../gen/hsu_a_pb.js";
import { type Call, type Handlers, RpcError } from "../hsu/index.js";
import { readStopWords, type Sentence, sentences, TooMany } from "./text.js";
import { rank } from "./textrank.js";

/** Sentences of one text at the most: the work grows with their square. */
const MAX_SENTENCES = 2000;
/** Sentences of a summary when the request doesn't say. */
const DEFAULT_SENTENCES = 3;

type Chunk = MessageInitShape<typeof SummaryChunkSchema> & { position: number; text: string };

/** Answers calls of interface A. */
export class Summarizer implements Handlers<typeof InterfaceA> {
  #stopWords: ReadonlySet<string> = new Set();

  /** @param text Words that say nothing, one or more on a line. */
  load(text: string): void {
    this.#stopWords = readStopWords(text);
  }

  unload(): void {
    this.#stopWords = new Set();
  }

  /** The best sentences in the order in which the text has them. */
  readonly summarize = async (request: SummarizeRequest, call: Call) => {
    const found = this.#sentences(request.text);
    const best = await bestOf(found, request.sentences, call.signal);
    const chunks = best.toSorted((one, other) => one.position - other.position);
    const summary = chunks.map((chunk) => chunk.text).join(" ");
    return { summary, chunks, totalSentences: found.length };
  };

  /** The best sentences one by one, best first. */
  readonly streamSummary = async function* (
    this: Summarizer,
    request: SummarizeRequest,
    call: Call,
  ) {
    yield* await bestOf(this.#sentences(request.text), request.sentences, call.signal);
  };

  #sentences(text: string): Sentence[] {
    let found;
    try {
      found = sentences(text, this.#stopWords, MAX_SENTENCES);
    } catch (error) {
      if (error instanceof TooMany) {
        throw badText(`it has more than ${String(MAX_SENTENCES)} sentences; send it in parts`);
      }
      throw error;
    }
    if (found.length === 0) {
      throw badText(
        text.trim() === ""
          ? "it is empty"
          : "it holds no sentence; send a text with at least one word of prose",
      );
    }
    return found;
  }
}

/** The sentences asked for, best first; of two with the same score the earlier one. */
async function bestOf(found: Sentence[], asked: number, signal: AbortSignal): Promise<Chunk[]> {
  const scores = await rank(found, signal);
  // Rounded, so that noise in the last digits doesn't decide between two that are equal.
  const rounded = scores.map((score) => Math.round(score * 1e9));
  const order = [...found.keys()].sort((one, other) => rounded[other]! - rounded[one]!);
  return order.slice(0, asked || DEFAULT_SENTENCES).map((position, at) => ({
    text: found[position]!.text,
    rank: at + 1,
    position,
    score: scores[position]!,
  }));
}

/** INVALID_ARGUMENT, with a google.rpc.BadRequest. */
function badText(problem: string): RpcError {
  const violation = new BinaryWriter();
  violation.tag(1, WireType.LengthDelimited).string("text");
  violation.tag(2, WireType.LengthDelimited).string(problem);
  const request = new BinaryWriter().tag(1, WireType.LengthDelimited).bytes(violation.finish());
  const detail = create(AnySchema, {
    typeUrl: "type.googleapis.com/google.rpc.BadRequest",
    value: request.finish(),
  });
  return new RpcError(status.INVALID_ARGUMENT, `text: ${problem}`, [detail]);
}
