"""A worker that an earlier master has left, before it belongs to a generation."""

import struct
from pathlib import Path
from typing import cast

from hsu_worker.master.keeping import Keeper
from hsu_worker.master.logs import UnitLog
from hsu_worker.master.surviving import Surviving
from hsu_worker.master.survivors import Survivors
from hsu_worker.master.tables import UnitConfig
from hsu_worker.master.tokens import Tokens
from tests.master.test_survivors import RECORD
from tests.until import until


def surviving(survivors: Survivors) -> Surviving:
    return Surviving(
        UnitConfig(name="u", command=("-",), implements=()),
        survivors,
        RECORD,
        master_id="m",
        # Nobody asks it: the record tells of another boot.
        keeper=cast("Keeper", None),
        tokens=Tokens(),
        slots=None,
        tell_unforkable=lambda *_: None,
    )


async def test_t27_what_is_read_before_there_is_a_generation_is_read_again_by_the_next_master(
    tmp_path: Path,
) -> None:
    survivors = Survivors(tmp_path)
    survivors.path(RECORD.instance, "stdout").write_text("line\n")

    def noted() -> int:
        (position,) = struct.unpack_from(
            "<Q", survivors.path(RECORD.instance, "cursor").read_bytes()
        )
        return int(position)

    worker = surviving(survivors)
    assert not await worker.meet()
    await until(worker.log.lines)
    assert 0 == noted()
    unit_log = UnitLog()
    worker.become(1, unit_log)
    await until(noted)
    assert (["line"], len("line\n")) == ([line.text for line in unit_log.lines()], noted())
    await worker.stop()
