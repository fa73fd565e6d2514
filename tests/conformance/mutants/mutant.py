"""One broken worker: whole_worker.py, in which a place reads otherwise."""

import sys
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path

from hsu_worker.conformance import Help, Report, check, command
from hsu_worker.master.tables import UnitConfig

#: Seconds instead of fifteen, in which a worker has to be claimed.
CLAIM = 4
#: Seconds instead of 0.3, in which the kit has to see what should not be: it looks at many workers.
SETTLE = 0.6
#: Seconds instead of ten, between two pings of a connection, and half of that in milliseconds.
PING = 0.2
_PING = ('_without_data_ms", 5000)', '_without_data_ms", 100)')
_CLAIM = "= 15, 30, 1, 1\n"

WHOLE = Path(__file__).parents[1] / "whole_worker.py"

#: What the whole worker does with these variables.
SLOW = Help(slow_start={"WHOLE_SLOW": "1"})
FAILING = Help(failing_start={"WHOLE_FAIL": "1"})
STUCK = Help(stuck_release={"WHOLE_STUCK": "1"})
FLOODING = Help(flood={"WHOLE_FLOOD": "1"})
EVERY = Help(
    slow_method="hsu.test.v1.Kinds/Unary",
    slow_request='{"number": "2000", "text": "x"}',
    slow_start=SLOW.slow_start,
    failing_start=FAILING.failing_start,
    stuck_release=STUCK.stuck_release,
    flood=FLOODING.flood,
)


@dataclass(frozen=True)
class Mutant:
    """A change that one check has to notice."""

    check: str
    sound: str
    broken: str
    seen: str
    """A part of what the check says that it sees."""
    _: KW_ONLY
    help: Help = field(default_factory=Help)
    patience: float = 0.3
    """Low: a worker that hangs should not take long to be found out."""
    child: bool = False
    """It starts a process of its own."""
    beside: tuple[str, ...] = ()
    """More checks: of a single one, a launch that fails is no finding."""

    @property
    def name(self) -> str:
        return f"{self.check}: {' '.join(self.broken.split())[:50]}"

    async def checked(self, folder: Path, stubs: Path) -> Report:
        """What the check says of a worker that is broken so."""
        worker = whole(folder, stubs, self.sound, self.broken, child=self.child)
        return await check(
            worker, only=[self.check, *self.beside], help=self.help, patience=self.patience
        )


def whole(
    folder: Path, stubs: Path, sound: str = "", broken: str = "", *, child: bool = False
) -> UnitConfig:
    """The whole worker, or one in which a place reads otherwise; it has to be claimed soon."""
    text = WHOLE.read_text()
    for before, after in ((_CLAIM, _CLAIM.replace("15", f"{CLAIM}")), _PING, (sound, broken)):
        assert not before or text.count(before) == 1, f"{text.count(before)} places: {before!r}"
        text = text.replace(before, after) if before else text
    (folder / "worker.py").write_text(text)
    env = {"PYTHONPATH": str(stubs)} | ({"WHOLE_CHILD": "1"} if child else {})
    return command([sys.executable, "worker.py"], cwd=folder, env=env)
