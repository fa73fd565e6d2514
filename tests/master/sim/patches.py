"""Where the true code of masters and keepers meets a simulated machine in place of the true one."""

import logging
import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from hsu_worker.master import (
    handshake,
    instance,
    keeping,
    launcher,
    output_files,
    output_pipes,
    slots,
    spawned,
    surviving,
    survivors,
)
from hsu_worker.master.keeper import loop, unit, units
from tests.master.sim import talk
from tests.master.sim.disk import RecordJson, RecordOs

if TYPE_CHECKING:
    from tests.master.sim.machine import Machine


@contextmanager
def patched(machine: "Machine", seed: int) -> Iterator[None]:
    """A master that is made in this block runs on the machine."""
    kernel, dice = machine.kernel, machine.dice
    proc: dict[str, Any] = {"process_line": kernel.line}
    everybody: dict[str, Any] = proc | {"live_processes": kernel.lines}
    boot: dict[str, Any] = {"boot_id": lambda: kernel.boot}
    core: dict[str, Any] = {"CoreClient": talk.Core}
    secrets = SimpleNamespace(
        token_hex=lambda size: f"{dice.getrandbits(8 * size):0{2 * size}x}",
        token_urlsafe=lambda size: f"{dice.getrandbits(8 * size):x}",
    )
    made: list[tuple[Any, dict[str, Any]]] = [
        (loop, {"spawn": machine.spawn, "time": kernel}),
        (units, everybody | {"os": kernel, "time": kernel}),
        (unit, proc | {"os": kernel, "select": kernel}),
        (survivors, everybody | boot | {"os": RecordOs(machine), "json": RecordJson(machine)}),
        (surviving, boot | {"OutputFiles": machine.output_files}),
        (spawned, core | {"Connection": SimpleNamespace(open=machine.connection)}),
        (spawned, {"secrets": secrets, "cpu_seconds": lambda _: None}),
        *((module, core) for module in (handshake, launcher, instance)),
        # Nobody's call breaks there.
        (instance, {"replace": lambda line, **_: line}),
        (keeping, {"KeeperLink": machine.link}),
        (output_pipes, {"read_pipe": machine.read_pipe}),
        # Nothing is written: who looks seldom sees as much.
        (output_files, {"QUICK": 0.5, "SLOW": 5.0, "SETTLE": 0.5}),
        (slots, {"processors": lambda: 2}),
    ]
    # The jitter of backoffs.
    random.seed(seed)
    log = logging.getLogger("hsu_worker")
    with ExitStack() as stack:
        for module, names in made:
            stack.enter_context(patch.multiple(module, **names))
        stack.callback(log.setLevel, log.level)
        log.setLevel(logging.CRITICAL + 1)
        yield
