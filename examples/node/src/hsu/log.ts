import { inspect } from "node:util";

import { LogLevel } from "../gen/hsu_core_pb.js";
import type { Ring } from "./ring.js";

/** What a record says beside its message. */
export type Fields = Readonly<Record<string, unknown>>;

/** A named part of the log that the master reads. */
export class Logger {
  constructor(readonly name: string) {}

  debug(message: string, fields: Fields = {}): void {
    write(LogLevel.DEBUG, this.name, message, fields);
  }

  info(message: string, fields: Fields = {}): void {
    write(LogLevel.INFO, this.name, message, fields);
  }

  warning(message: string, fields: Fields = {}): void {
    write(LogLevel.WARNING, this.name, message, fields);
  }

  /** @param fields An `error` among them gives the record its stack. */
  error(message: string, fields: Fields = {}): void {
    write(LogLevel.ERROR, this.name, message, fields);
  }
}

/**
 * The worker's log. Before `serve` it goes to standard error, as it does in a worker that nobody
 * launched.
 *
 *     log.info("loaded", { words: 120 });
 */
export const log = new Logger("");

let target: { ring: Ring; name: string; level: LogLevel; isShown: boolean } | undefined;

/**
 * Sends the log into a ring.
 *
 * @param isShown Whether it goes to standard error, too.
 */
export function logTo(ring: Ring, name: string, level: LogLevel, isShown: boolean): void {
  target = { ring, name, level, isShown };
}

function write(level: LogLevel, logger: string, message: string, fields: Fields): void {
  if (level < (target?.level ?? LogLevel.INFO)) {
    return;
  }
  const { error, ...others } = fields;
  const exception = error instanceof Error ? (error.stack ?? String(error)) : "";
  if (error !== undefined && exception === "") {
    Object.assign(others, { error });
  }
  const texts = Object.fromEntries(
    Object.entries(others).map(([key, value]) => [key, text(value)]),
  );
  const name = logger === "" ? (target?.name ?? "") : logger;
  target?.ring.append(level, name, message, texts, exception);
  if (target?.isShown ?? true) {
    const told = Object.entries(texts).map(([key, value]) => ` ${key}=${value}`);
    process.stderr.write(`${LogLevel[level]} ${message}${told.join("")}\n`);
    if (exception !== "") {
      process.stderr.write(`${exception}\n`);
    }
  }
}

function text(value: unknown): string {
  return typeof value === "string" ? value : inspect(value, { breakLength: Infinity });
}
