"""Runs the simulator by hand: `python -m tests.master.sim --seeds 100000 --from 10000`.

The story `survival` is that of masters that are killed, and of workers that outlive them; `town`, and those
whose names begin so, are those of units that share groups and memory.
"""

import argparse
import sys
import time

from tests.master.sim.books import Broken
from tests.master.sim.machine import Machine
from tests.master.sim.stories import STORIES
from tests.master.sim.town import STORIES as OF_A_TOWN
from tests.master.sim.town import Town
from tests.master.sim.world import World

#: By story.
TOWNS = {f"town-{story}": story for story in OF_A_TOWN if story != "anything"} | {
    "town": "anything"
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.master.sim")
    parser.add_argument("--story", choices=(*STORIES, "survival", *TOWNS), default="anything")
    parser.add_argument("--seeds", type=int, default=10_000, help="how many")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first one")
    parser.add_argument("--seed", type=int, help="this one alone")
    parser.add_argument("--trace", action="store_true", help="show each event of --seed")
    options = parser.parse_args()
    if options.seed is not None:
        simulated = made(options.seed, options.story, trace=options.trace)
        said = "all promises kept"
        try:
            simulated.run()
        except Broken as broken:
            said = str(broken)
        for line in simulated.trace or ():
            print(line)
        print(f"seed {options.seed}: {said}")
        return 0 if said == "all promises kept" else 1
    began = time.perf_counter()
    events = failed = 0
    for seed in range(options.first, options.first + options.seeds):
        simulated = made(seed, options.story)
        try:
            simulated.run()
        except Broken as broken:
            failed += 1
            print(f"seed {seed}: {broken}")
        events += simulated.events
    seconds = time.perf_counter() - began
    print(
        f"{options.seeds} seeds, {events} events, {failed} failed; "
        f"{options.seeds / seconds:.0f} seeds/s"
    )
    return 1 if failed else 0


def made(seed: int, story: str, *, trace: bool = False) -> World | Machine | Town:
    if story in TOWNS:
        return Town(seed, TOWNS[story], trace=trace)
    return Machine(seed, trace=trace) if story == "survival" else World(seed, story, trace=trace)


if __name__ == "__main__":
    sys.exit(main())
