"""What befalls a simulated machine, while a master runs on it and while none does."""

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING

from hsu_worker.errors import HsuError
from hsu_worker.master.units import Units
from tests.master.sim.kernel import FAILED
from tests.master.sim.promises import records

if TYPE_CHECKING:
    from tests.master.sim.machine import Machine

FORGED = {
    "start": 1,
    "boot": "another boot",
    "mark": "0123456789abcdef/1",
    "instance": "0123456789abcdef" * 2,
    "token": "x",
}


async def deed(machine: "Machine", units: Units) -> None:
    """Something that an operator does, or that happens, at some time."""
    dice, kernel = machine.dice, machine.kernel
    await asyncio.sleep(dice.uniform(0.0, 6.0))
    name = dice.choice([*units])
    what = dice.choice(
        (
            *("start", "start", "stop", "restart", "swap", "swap", "swap"),
            *("end", "keeper", "stranger", *["call", "decide"] * 3),
        )
    )
    if units.closed or not machine.step():
        return
    machine.note(f"{what} {name}")
    with suppress(HsuError):
        match what:
            case "start":
                await units[name].start()
            case "stop":
                await units[name].stop()
            case "restart":
                await units[name].restart()
            case "swap":
                await units.swap(name, units[name].config)
            case "end":
                mine = [proc for proc in kernel.workers() if proc.unit == name]
                if mine:
                    kernel.end(dice.choice(mine), FAILED)
            case "keeper":
                machine.kill_keeper()
            case "call":
                async with units[name].lease(None)(None):
                    await asyncio.sleep(dice.uniform(0.0, 8.0))
            case "decide":
                # Under a call, which is cut when its drain is over.
                async with units[name].lease(None)(None):
                    swaps = dice.random() < 0.5
                    await asyncio.gather(
                        units.swap(name, units[name].config) if swaps else units[name].stop(),
                        asyncio.sleep(dice.uniform(0.0, 8.0)),
                    )
            case _:
                kernel.stranger()


def meanwhile(machine: "Machine") -> None:
    """No master runs."""
    dice, kernel = machine.dice, machine.kernel
    for _ in range(dice.randint(0, 3)):
        kernel.pass_time(dice.choice((0.0, 0.3, 5.0, 20.0)))
        workers = kernel.workers()
        what = dice.choice(
            (
                "end",
                "reuse",
                "forge",
                "forge",
                "forge",
                "forge",
                "forge",
                "damage",
                "torn",
                "stranger",
                "boot",
            )
        )
        machine.note(what)
        match what:
            case "end" | "reuse" if workers:
                proc = dice.choice(workers)
                kernel.end(proc)
                if what == "reuse":
                    kernel.stranger(proc.pid)
            case "forge":
                _forge(machine)
            case "damage":
                _damage(machine)
            case "torn":
                (machine.folder / "torn.tmp").write_text('{"unit": ')
            case "boot" if dice.random() < 0.2:
                kernel.reboot()
            case _:
                kernel.stranger()


def _forge(machine: "Machine") -> None:
    """One field of one record is another one, and its worker nobody's."""
    kernel = machine.kernel
    for record in records(machine.folder):
        proc = kernel.worker(record["instance"])
        if proc is None or not record["pid"] or proc.untouchable or proc.leaving:
            continue
        name = machine.dice.choice([*FORGED])
        path = machine.folder / f"{proc.instance}.json"
        path.write_text(json.dumps(record | {name: FORGED[name]}))
        if name == "instance":
            path.rename(path.with_stem(str(FORGED[name])))
        proc.untouchable = f"its record has a forged {name}"
        return


def _damage(machine: "Machine") -> None:
    """One record can't be read any more, and nobody knows whose worker it was."""
    kernel = machine.kernel
    paths = sorted(machine.folder.glob("*.json"))
    # Keepers may have some to end still.
    if not paths or any(keeper.alive for keeper in kernel.keepers):
        return
    path = machine.dice.choice(paths)
    text = path.read_text()
    path.write_text(machine.dice.choice(("", "[]", text[: len(text) // 2], text + "}")))
    machine.promises.aside.add(path.stem)
    proc = kernel.worker(path.stem)
    if proc is not None:
        proc.untouchable = "its record is damaged"
