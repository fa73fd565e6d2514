import { Event, within } from "./event.js";
import { log } from "./log.js";

/** What calls in flight are given when nobody says otherwise, in milliseconds. */
export const DEFAULT_GRACE = 30_000;

/**
 * The wish that the worker leaves: asked for by Shutdown, a signal, the end of the lifeline, or a
 * master that never came.
 */
export class Departure {
  /** Set by the first wish. */
  readonly asked = new Event();
  #deadline = Infinity;
  #sooner = new Event();

  /**
   * Asks the worker to leave, and returns what calls in flight are given from now on, in
   * milliseconds. Who asks later can only shorten it.
   */
  ask(grace: number, why: string): number {
    log.info(`leaving: ${why}`);
    const now = performance.now();
    const deadline = now + Math.max(0, grace);
    if (deadline < this.#deadline) {
      this.#deadline = deadline;
      this.#sooner.set();
      this.#sooner = new Event();
    }
    this.asked.set();
    return Math.max(0, this.#deadline - now);
  }

  /** Waits for something as long as calls in flight are given; whether it came. */
  async wait(ended: Promise<void>): Promise<boolean> {
    let came = false;
    void ended.then(() => {
      came = true;
    });
    for (;;) {
      // A timer holds no more than 2^31 milliseconds.
      const left = Math.min(this.#deadline - performance.now(), 2 ** 31 - 1);
      await within(Math.max(0, left), Promise.race([ended, this.#sooner.happened]));
      if (came || performance.now() >= this.#deadline) {
        return came;
      }
    }
  }
}
