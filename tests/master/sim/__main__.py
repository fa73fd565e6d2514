"""Runs the simulator by hand: `python -m tests.master.sim --seeds 100000 --from 10000`."""

import argparse
import sys
import time

from tests.master.sim.books import Broken
from tests.master.sim.stories import STORIES
from tests.master.sim.world import World, replay


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.master.sim")
    parser.add_argument("--story", choices=STORIES, default="anything")
    parser.add_argument("--seeds", type=int, default=10_000, help="how many")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first one")
    parser.add_argument("--seed", type=int, help="this one alone")
    parser.add_argument("--trace", action="store_true", help="show each event of --seed")
    options = parser.parse_args()
    if options.seed is not None:
        trace, broken = replay(options.seed, options.story)
        print(*(trace if options.trace else ()), sep="\n")
        print(f"seed {options.seed}: {broken or 'all promises kept'}")
        return 0 if broken is None else 1
    began = time.perf_counter()
    events = failed = 0
    for seed in range(options.first, options.first + options.seeds):
        world = World(seed, options.story)
        try:
            world.run()
        except Broken as broken:
            failed += 1
            print(f"seed {seed}: {broken}")
        events += world.events
    seconds = time.perf_counter() - began
    print(
        f"{options.seeds} seeds, {events} events, {failed} failed; "
        f"{options.seeds / seconds:.0f} seeds/s"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
