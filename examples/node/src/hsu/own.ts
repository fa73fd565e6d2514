import { type Launch, takeLaunch } from "./launch.js";

// Before anything else is imported that takes its time or starts a process.
let taken: Launch | undefined;
let problem: Error | undefined;
try {
  taken = takeLaunch(process.env);
} catch (error) {
  problem = error as Error;
}

if (taken !== undefined) {
  // Nobody reads them any more, when the master is gone: that must end nothing.
  for (const output of [process.stdout, process.stderr]) {
    output.on("error", () => undefined);
  }
}

/**
 * What a master has said to this process; undefined when none has launched it.
 *
 * @throws Error when it said something that can't be worked with.
 */
export function launch(): Launch | undefined {
  if (problem !== undefined) {
    throw problem;
  }
  return taken;
}
