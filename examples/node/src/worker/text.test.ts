import assert from "node:assert/strict";
import { test } from "node:test";

import { readStopWords, sentences, split, TooMany } from "./text.js";
import { rank } from "./textrank.js";

const NONE: ReadonlySet<string> = new Set();

function texts(text: string): string[] {
  return sentences(text, NONE, 100).map((sentence) => sentence.text);
}

test("sentences end where they end", () => {
  assert.deepEqual(split("Dr. Smith came. He left at 5 p.m. on foot! J. Doe stayed."), [
    "Dr. Smith came.",
    "He left at 5 p.m. on foot!",
    "J. Doe stayed.",
  ]);
  assert.deepEqual(split("See fig. 3 of vol. 2. 水を飲む。茶も。"), [
    "See fig. 3 of vol. 2.",
    "水を飲む。",
    "茶も。",
  ]);
});

test("headings count only where there is nothing else", () => {
  assert.deepEqual(texts("Bread\n\nDough rests.\nIt rises!"), ["Dough rests.", "It rises!"]);
  assert.deepEqual(texts("Bread\n\nand butter"), ["Bread", "and butter"]);
});

test("words that don't count are left out", () => {
  const stopWords = readStopWords("# the little ones\nThe a\nof # and so on\n");
  const [one] = sentences("The end of a Miller's flour.", stopWords, 100);
  assert.deepEqual([...one!.words], ["end", "miller's", "flour"]);
  assert.equal(one!.length, 6);
});

test("more sentences than are wanted are too many", () => {
  assert.throws(() => sentences("One. Two. Three.", NONE, 2), TooMany);
});

test("a sentence is as important as those that it shares words with", async () => {
  const found = sentences("Millers make flour. Flour makes bread. It rains.", NONE, 100);
  const scores = await rank(found, new AbortController().signal);
  assert.ok(scores[0]! > scores[2]!);
  assert.ok(Math.abs(scores.reduce((sum, score) => sum + score, 0) - 1) < 1e-9);
});

test("it ends when nobody waits for it", async () => {
  const text = `All of it is ${Array.from({ length: 200 }, (_, at) => `w${String(at)}`).join(" ")}. `;
  const found = sentences(text.repeat(500), NONE, 500);
  await assert.rejects(rank(found, AbortSignal.abort(new Error("gone"))), /gone/);
});
