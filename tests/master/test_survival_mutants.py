"""For each fault of survival, a planted bug, in this process and in the masters that are killed."""

import asyncio
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from hsu_worker.errors import RpcError
from hsu_worker.master import keeper
from tests.master import test_survival as survival
from tests.master.sim import mutants


class Mutant(NamedTuple):
    row: str
    bug: str
    where: str
    """A function, or a file of the keeper."""
    sound: str
    broken: str
    test: Callable[..., Any]
    arguments: dict[str, Any] = {}  # noqa: RUF012


MUTANTS = (
    Mutant(
        "T22",
        "the keeper ends whatever it has started",
        "keeper/units.py",
        "if unit.outlives]",
        "if False]",
        survival.test_t22_the_bound_ones_end_with_their_master_and_the_survivor_answers,
    ),
    Mutant(
        "T22",
        "what the keeper spares is an orphan to it",
        "keeper/units.py",
        " or self._is_spared(line):",
        ":",
        survival.test_t22_the_bound_ones_end_with_their_master_and_the_survivor_answers,
    ),
    Mutant(
        "T23",
        "what was not recorded after its spawn is forgotten",
        "survivors:Record.found",
        "if self.boot == boot_id():",
        "if False:",
        survival.test_t23_what_was_not_claimed_ends_by_itself_or_with_the_next_master,
    ),
    Mutant(
        "T24",
        "what was adopted ends with the master that adopted it",
        "surviving:Surviving._find",
        "outlives=True",
        "outlives=False",
        survival.test_t24_a_restarted_master_adopts_the_worker,
    ),
    Mutant(
        "T24",
        "the end of a survivor begins before its record says so",
        "surviving:Surviving._note_end",
        "self._note(ending=True)",
        "pass",
        survival.test_t24_a_worker_whose_end_had_begun_is_ended,
    ),
    Mutant(
        "T25",
        "what answers as another one is ended",
        "surviving:Surviving._find",
        "self._stranger = True",
        "pass",
        survival.test_t25_a_record_of_which_one_thing_is_wrong_leads_to_no_signal,
        {"forged": {"instance": "0123456789abcdef" * 2}},
    ),
    Mutant(
        "T26",
        "an end that nobody saw is a good one",
        "surviving:_unwatched",
        "text=str(Exit(None, None, 0))",
        "text='exit code 0', code=0, clean=True",
        survival.test_t26_an_end_that_nobody_saw_is_unknown_and_the_policy_holds,
        {"restart": "on-demand", "state": "absent"},
    ),
    Mutant(
        "T27",
        "what was printed while no master ran is not read",
        "output_files:OutputFiles.follow",
        "OutputPipe(take), start)",
        "OutputPipe(take), 1 << 60)",
        survival.test_t27_the_last_words_of_one_that_ended_unwatched_are_kept,
    ),
)

PLANT = """
from tests.master.sim import mutants
# Kept: it would be sound again as soon as nobody has it.
bug = mutants.planted(mutants.Mutant({bug!r}, "", {where!r}, {sound!r}, {broken!r}), "hsu_worker.master")
bug.__enter__()
"""


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.bug for mutant in MUTANTS])
def test_a_planted_bug_is_caught(
    mutant: Mutant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if mutant.where.startswith("keeper/"):
        broken = shutil.copytree(keeper.PROGRAM, tmp_path / "keeper")
        file = broken / Path(mutant.where).name
        sound = file.read_text()
        assert 1 == sound.count(mutant.sound)
        file.write_text(sound.replace(mutant.sound, mutant.broken))
        prelude = f"from hsu_worker.master import keeper; keeper.PROGRAM = {str(broken)!r}"
        monkeypatch.setattr(survival.World, "prelude", prelude)
        fails(mutant)
        return
    monkeypatch.setattr(survival.World, "prelude", PLANT.format(**mutant._asdict()))
    each = mutants.Mutant(mutant.bug, mutant.row, mutant.where, mutant.sound, mutant.broken)
    with mutants.planted(each, "hsu_worker.master"):
        fails(mutant)


def fails(mutant: Mutant) -> None:
    # Short: it is a part of the paths of sockets, and a path that is too long fails, too.
    with tempfile.TemporaryDirectory(prefix="hsu-t-") as name:
        try:
            with pytest.raises((AssertionError, TimeoutError, ValueError, RpcError)):
                asyncio.run(mutant.test(folder=Path(name), **mutant.arguments))
        finally:
            survival.end_all_in(Path(name))
