import assert from "node:assert/strict";
import { test } from "node:test";

import { LogLevel } from "../gen/hsu_core_pb.js";
import { Ring } from "./ring.js";

test("the oldest records make room, and are counted", () => {
  const ring = new Ring(1000, 400);
  for (let at = 1; at <= 10; at++) {
    ring.append(LogLevel.INFO, "x", `record ${String(at)}`);
  }
  assert.equal(ring.next, 11);
  const { dropped, records } = ring.take(1);
  assert.equal(dropped, ring.oldest - 1);
  assert.ok(dropped > 0);
  assert.deepEqual(
    records.map((record) => Number(record.sequence)),
    Array.from({ length: records.length }, (_, at) => ring.oldest + at),
  );
  assert.equal(records.at(-1)!.message, "record 10");
});

test("a text that is too long is cut, and says so", () => {
  const ring = new Ring(5);
  ring.append(LogLevel.INFO, "x", "abcdü more", { key: "123456" });
  const [record] = ring.take(1).records;
  assert.equal(record!.message, "abcd [cut: 11 bytes]");
  assert.deepEqual(record!.fields, { key: "12345 [cut: 6 bytes]" });
});

test("a message of the log holds no more than 256 records", () => {
  const ring = new Ring(1000);
  for (let at = 0; at < 300; at++) {
    ring.append(LogLevel.INFO, "x", "y");
  }
  assert.equal(ring.take(1).records.length, 256);
  assert.equal(ring.take(257).records.length, 44);
  assert.deepEqual(ring.take(301), { dropped: 0, records: [] });
});
