import { closeSync, constants, createReadStream, fstatSync, openSync } from "node:fs";
import { Socket } from "node:net";
import { devNull } from "node:os";
import type { Readable } from "node:stream";

/** The pipe that a launched worker holds to its master; it ends with it. */
export interface Lifeline {
  /** Resolved when the master is gone. */
  readonly ended: Promise<void>;
}

/**
 * Watches descriptor 0 from now on, whatever comes through it.
 *
 * What the program reads from standard input, or hands to a child, must not be the master's pipe: it
 * is opened again as another descriptor, and 0 becomes the null device. A socket can't be opened
 * again; it stays where it is.
 */
export function watchLifeline(): Lifeline {
  let kind;
  try {
    kind = fstatSync(0);
  } catch {
    throw new Error(
      "HSU_LIFELINE=stdin, and descriptor 0 is closed; give the worker a pipe, or HSU_LIFELINE=none",
    );
  }
  const descriptor = kind.isSocket()
    ? 0
    : openSync("/dev/fd/0", constants.O_RDONLY | constants.O_NONBLOCK);
  if (descriptor !== 0) {
    closeSync(0);
    openSync(devNull, "r");
  }
  const isPipe = kind.isFIFO() || kind.isSocket();
  const stream: Readable = isPipe
    ? new Socket({ fd: descriptor, readable: true, writable: false })
    : createReadStream("", { fd: descriptor });
  const ended = new Promise<void>((resolve) => {
    stream.once("close", () => {
      resolve();
    });
  });
  // An error is an end, too; "close" follows it.
  stream.on("error", () => undefined);
  stream.resume();
  return { ended };
}
