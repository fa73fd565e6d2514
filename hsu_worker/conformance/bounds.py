"""How long the kit waits, in seconds. All but `CLAIM`, `PING` and `SETTLE` are multiplied by the patience of a run."""

from typing import Final

#: For the announce line: a master's `stall`.
ANNOUNCE: Final = 30.0
#: For a start to end.
START: Final = 120.0
#: For the answer to a call that takes no work.
ANSWER: Final = 10.0
#: For what happens at once, on a machine that has other things to do.
SOON: Final = 5.0
#: For the exit of a worker whose calls have ended: 10 s of the contract, and one for the machine.
LEAVE: Final = 11.0
#: In which what must not happen would have happened.
SETTLE: Final = 0.3
#: For one check in all.
CHECK: Final = 300.0

#: The contract's own: a worker that nobody claims leaves so long after its announcement.
CLAIM = 15.0
#: The contract's own: pings of a connection come so often at the most.
PING = 10.0
