// TextRank: a sentence is as important as the sentences that it shares words with.
//
// After Mihalcea and Tarau, "TextRank: Bringing Order into Texts", EMNLP 2004.

import { setImmediate } from "node:timers/promises";

import type { Sentence } from "./text.js";

/** The share of a sentence's score that comes from the others; the paper's value. */
const DAMPING = 0.85;
/** The iteration ends when the scores, which add up to 1, change by less than this in all. */
const TOLERANCE = 1e-9;
/** The change shrinks to DAMPING of itself, or less, in each round: so many always suffice. */
const MAX_ROUNDS = Math.ceil(Math.log(TOLERANCE / 2) / Math.log(DAMPING));
/** Milliseconds after which others get their turn. */
const TURN = 5;

/** The other sentences that one is like, and how much. */
interface Edges {
  readonly to: number[];
  readonly weights: number[];
}

/**
 * The score of each sentence; they add up to 1. Time and memory grow with the square of their number:
 * in between other calls get their turn, because all of them share one thread.
 *
 * @throws What the signal gives as its reason, once it is aborted.
 */
export async function rank(sentences: readonly Sentence[], signal: AbortSignal): Promise<number[]> {
  const breath = breathing(signal);
  const graph = await graphOf(sentences, breath);
  const strengths = graph.map(({ weights }) => weights.reduce((sum, weight) => sum + weight, 0));
  const base = (1 - DAMPING) / sentences.length;
  let scores = sentences.map(() => 1 / sentences.length);
  for (let round = 0; round < MAX_ROUNDS; round++) {
    // Each hands its score on, in proportion to its similarities. One that is like no other hands
    // nothing on.
    const perWeight = scores.map((score, at) => (strengths[at]! > 0 ? score / strengths[at]! : 0));
    const next: number[] = [];
    for (const { to, weights } of graph) {
      await breath();
      let received = 0;
      for (let edge = 0; edge < to.length; edge++) {
        received += weights[edge]! * perWeight[to[edge]!]!;
      }
      next.push(base + DAMPING * received);
    }
    const change = next.reduce((sum, score, at) => sum + Math.abs(score - scores[at]!), 0);
    scores = next;
    if (change < TOLERANCE) {
      break;
    }
  }
  const whole = scores.reduce((sum, score) => sum + score, 0);
  return scores.map((score) => score / whole);
}

/**
 * The edges of each sentence. How much two say the same: shared words / (log of one's length + log of
 * other's); 0 for two of one word each, where the paper's formula divides by 0.
 */
async function graphOf(
  sentences: readonly Sentence[],
  breath: () => Promise<void> | undefined,
): Promise<Edges[]> {
  const graph: Edges[] = sentences.map(() => ({ to: [], weights: [] }));
  const logs = sentences.map((sentence) => Math.log(sentence.length));
  /** The sentences so far that hold a word. */
  const holders = new Map<string, number[]>();
  const shared = new Uint32Array(sentences.length);
  for (const [at, one] of sentences.entries()) {
    await breath();
    shared.fill(0);
    for (const word of one.words) {
      const known = holders.get(word) ?? [];
      for (const other of known) {
        shared[other]!++;
      }
      known.push(at);
      holders.set(word, known);
    }
    for (let other = 0; other < at; other++) {
      const both = logs[at]! + logs[other]!;
      if (shared[other]! > 0 && both > 0) {
        add(graph[at]!, other, shared[other]! / both);
        add(graph[other]!, at, shared[other]! / both);
      }
    }
  }
  return graph;
}

function add(edges: Edges, to: number, weight: number): void {
  edges.to.push(to);
  edges.weights.push(weight);
}

/** Lets others have their turn, now and then. */
function breathing(signal: AbortSignal): () => Promise<void> | undefined {
  let last = performance.now();
  return () => {
    if (performance.now() - last < TURN) {
      return undefined;
    }
    return setImmediate().then(() => {
      signal.throwIfAborted();
      last = performance.now();
    });
  };
}
