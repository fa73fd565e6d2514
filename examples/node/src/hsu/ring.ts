import { create } from "@bufbuild/protobuf";
import { timestampNow } from "@bufbuild/protobuf/wkt";

import { LogLevel, type LogRecord, LogRecordSchema } from "../gen/hsu_core_pb.js";
import { Bell } from "./event.js";

/** What the ring holds at the most; the oldest records make room. */
const RING_BYTES = 1 << 20;
/** What a record takes beside its texts, about. */
const OVERHEAD = 64;
/** Bounds of one message of a log stream. */
const BATCH_RECORDS = 256;
const BATCH_BYTES = 256 << 10;

/** Keeps the last log records of this process, numbered from 1. */
export class Ring {
  readonly #records: { readonly record: LogRecord; readonly size: number }[] = [];
  readonly #bell = new Bell();
  #bytes = 0;
  #next = 1;
  #closed = false;

  /** @param lineBytes The longest text; longer ones are cut, and say so. */
  constructor(
    readonly lineBytes: number,
    readonly bound = RING_BYTES,
  ) {}

  append(
    level: LogLevel,
    logger: string,
    message: string,
    fields: Record<string, string> = {},
    exception = "",
  ): void {
    const record = create(LogRecordSchema, {
      sequence: BigInt(this.#next++),
      time: timestampNow(),
      level,
      logger,
      message: this.#cut(message),
      exception: this.#cut(exception),
      fields: Object.fromEntries(
        Object.entries(fields).map(([name, value]) => [name.toWellFormed(), this.#cut(value)]),
      ),
    });
    const texts = [record.message, record.exception, logger, ...Object.entries(fields).flat()];
    const size = texts.reduce((sum, text) => sum + Buffer.byteLength(text), OVERHEAD);
    this.#records.push({ record, size });
    this.#bytes += size;
    // The newest stays, however long it is.
    while (this.#bytes > this.bound && this.#records.length > 1) {
      this.#bytes -= this.#records.shift()!.size;
    }
    this.#bell.ring();
  }

  /** The oldest sequence number still kept. */
  get oldest(): number {
    return this.#next - this.#records.length;
  }

  /** The sequence number of the record to come. */
  get next(): number {
    return this.#next;
  }

  /** Whether no record comes any more. */
  get isClosed(): boolean {
    return this.#closed;
  }

  /** Resolved when there is a new record, or the ring is closed. */
  news(): Promise<void> {
    return this.#bell.next();
  }

  /**
   * The records from a cursor on, as many as one message should hold, and how many before them are
   * lost.
   */
  take(cursor: number): { dropped: number; records: LogRecord[] } {
    const dropped = Math.max(0, this.oldest - cursor);
    const records: LogRecord[] = [];
    let bytes = 0;
    for (let at = cursor + dropped - this.oldest; at < this.#records.length; at++) {
      const { record, size } = this.#records[at]!;
      bytes += size;
      if (records.length === BATCH_RECORDS || (bytes > BATCH_BYTES && records.length > 0)) {
        break;
      }
      records.push(record);
    }
    return { dropped, records };
  }

  /** Lets those who follow come to an end, once they have seen everything. */
  close(): void {
    this.#closed = true;
    this.#bell.ring();
  }

  #cut(text: string): string {
    const whole = text.toWellFormed();
    const bytes = Buffer.byteLength(whole);
    if (bytes <= this.lineBytes) {
      return whole;
    }
    const kept = Buffer.from(whole)
      .subarray(0, this.lineBytes)
      .toString()
      .replace(/\uFFFD$/, "");
    return `${kept} [cut: ${String(bytes)} bytes]`;
  }
}
