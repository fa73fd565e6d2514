/** Something that happens once, and can be waited for. */
export class Event {
  readonly happened: Promise<void>;
  #resolve!: () => void;
  #has = false;

  constructor() {
    this.happened = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  get has(): boolean {
    return this.#has;
  }

  set(): void {
    this.#has = true;
    this.#resolve();
  }
}

/** Wakes those who wait for a change; who asks for the next one before he looks misses none. */
export class Bell {
  #next = new Event();

  next(): Promise<void> {
    return this.#next.happened;
  }

  ring(): void {
    this.#next.set();
    this.#next = new Event();
  }
}

/** Waits for something so long; whether it came. */
export async function within(milliseconds: number, came: Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(resolve, milliseconds, false);
  });
  try {
    return await Promise.race([came.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
