"""What is promised of workers that outlive their masters, held against a simulated machine."""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from hsu_worker.master.event import Event
from hsu_worker.master.policy import Generation, Phase
from hsu_worker.master.spawned import Spawned
from hsu_worker.master.surviving import Surviving, launch_digest
from hsu_worker.master.tables import UnitConfig
from hsu_worker.master.unit import Unit
from hsu_worker.master.units import Units
from tests.master.sim.kernel import Kernel, Proc


class Promises:
    """Looks at processes and records from outside; the first broken promise is told."""

    def __init__(self) -> None:
        self.broken: list[str] = []
        self.aside: set[str] = set()
        """Instances whose records somebody has damaged."""
        self.adopted = 0
        """How many workers found another master."""
        self.upheld = 0
        """How often a master was about to end while one was on its way out."""
        self.decided: set[str] = set()
        """Instances that are to end, as somebody has decided."""
        self.read_on = 0
        """How often a master has read on what another one had begun."""
        self._heard: dict[str, int] = {}
        """By instance: the line that has to come next."""

    def break_(self, promise: str) -> None:
        self.broken.append(promise)

    def expect(self, holds: object, promise: str) -> None:
        if not holds:
            self.break_(promise)

    def spawned(self, proc: Proc, folder: Path) -> None:
        """Its record was there before it."""
        told = [each for each in records(folder) if each["instance"] == proc.instance]
        self.expect(told and told[0]["mark"] in proc.mark, f"{proc} is made before its record")

    def removing(self, kernel: Kernel, path: Path) -> None:
        """No record goes before its process."""
        proc = kernel.worker(path.stem)
        if proc is not None and not proc.untouchable:
            self.break_(f"the record of {proc} goes before it")

    def adoptable(
        self, kernel: Kernel, folder: Path, config: Mapping[str, UnitConfig]
    ) -> list[Proc]:
        """Whom a master with this configuration has to adopt."""
        told = records(folder)
        named = {each["instance"] for each in told if each["pid"] and not each["ending"]}
        found: dict[str, Proc] = {}
        for proc in sorted(kernel.workers(), key=lambda proc: proc.start):
            unit = config.get(proc.unit)
            if unit is None or unit.survivor == "stop":
                continue
            same = proc.variables["TABLE"] == unit.env["TABLE"]
            if same and proc.instance in named and not (proc.untouchable or proc.leaving):
                found.setdefault(proc.unit, proc)
        return [*found.values()]

    def unwatched(self, kernel: Kernel, folder: Path, config: Mapping[str, UnitConfig]) -> set[str]:
        """Units of which a master only finds that their worker has ended."""
        found: dict[str, bool] = {}
        for record in records(folder):
            unit = config.get(record["unit"])
            if unit is None or unit.survivor == "stop" or not record["pid"] or record["ending"]:
                continue
            if record["launch"] == launch_digest(unit):
                lives = kernel.worker(record["instance"]) is not None
                found[unit.name] = found.get(unit.name, False) or lives
        return {name for name, lives in found.items() if not lives}

    def told(self, unwatched: set[str], events: list[Event]) -> None:
        """Nobody says how something ended that nobody has seen."""
        for name in unwatched:
            crashes = [event.crash for event in events if event.unit == name and event.crash]
            unknown = [crash for crash in crashes if (crash.code, crash.signal) == (None, None)]
            self.expect(unknown, f"the end of unit {name} was not seen, and is told as another one")

    def begun(self, kernel: Kernel, units: Units, expected: list[Proc]) -> None:
        """A master has begun: what it had to adopt it has, and nothing else."""
        for proc in expected:
            worker = _unit(units, proc.unit).worker
            has = worker is not None and worker.pid == proc.pid and proc.live
            self.expect(has, f"{proc} can be adopted, and is not")
        self.adopted += len(expected)
        for name in units:
            unit = _unit(units, name)
            current, worker = unit.state.current, unit.worker
            if current is None or current.phase is not Phase.READY or worker is None:
                continue
            adopted = kernel.table.get(worker.pid or 0)
            if not worker.adopting or adopted is None:
                continue
            self.expect(not adopted.untouchable, f"{adopted} is adopted: {adopted.untouchable}")
            self.expect(not adopted.leaving, f"{adopted} is adopted on its way out")
            undone = adopted.instance in self.decided
            self.expect(not undone, f"{adopted} is adopted, and its end was decided")
            same = adopted.variables.get("TABLE") == unit.config.env["TABLE"]
            self.expect(same, f"{adopted} of another table is adopted")
            self.expect(
                unit.config.survivor == "adopt", f"{adopted} is adopted, and was not wanted"
            )

    def decide(self, units: Units) -> None:
        """Look at who is on its way out, and not because the master leaves."""
        for name in units:
            unit = _unit(units, name)
            for each in unit.state.generations:
                worker = unit._instances[each.number].worker
                assert isinstance(worker, Surviving)
                # One that is bound to its master still needs no decision.
                if worker._outlives and (each.stop_asked or drains(each)):
                    self.decided.add(worker._instance)

    def open_drains(self, units: Units) -> list[Generation]:
        """Who has calls, and is on its way out by what somebody has decided."""
        return [
            each for name in units for each in _unit(units, name).state.generations if drains(each)
        ]

    def settled(self, kernel: Kernel, units: Units, folder: Path) -> None:
        """Nothing has happened for a while: one worker a unit, each in a record, each record of one."""
        known = {worker._instance: worker for name in units for worker in _workers(units, name)}
        living: dict[str, Proc] = {}
        for proc in kernel.workers():
            if proc.untouchable:
                continue
            self.expect(proc.unit not in living, f"{proc} and {living.get(proc.unit)} both live")
            self.expect(proc.instance in known, f"{proc} is forgotten alive")
            living[proc.unit] = proc
        told = {record["instance"]: record for record in records(folder)}
        for instance in told:
            self.expect(instance in known, f"the record of {instance} outlives its process")
        for proc in living.values():
            record = told.get(proc.instance)
            self.expect(record is not None, f"{proc} has no record")
            if record is not None and proc.ready is not None:
                whole = (record["pid"], record["start"]) == (proc.pid, proc.start)
                self.expect(whole, f"the record of {proc} tells of another one")
        kept = {path.stem for path in folder.glob("*.damaged")}
        self.expect(self.aside <= kept, "a record that somebody has damaged is lost")

    def heard(self, units: Units) -> None:
        """A master is gone: what it has read of each worker begins where another one has ended."""
        found: dict[str, list[int]] = {}
        for unit in units.values():
            for line in unit.log.lines():
                if line.source == "stdout":
                    instance, number = line.text.split()
                    found.setdefault(instance, []).append(int(number))
        for instance, numbers in found.items():
            first, after = numbers[0], numbers[-1] + 1
            self.expect([*range(first, after)] == numbers, f"of {instance}, {numbers} are read")
            known = self._heard.get(instance, 0)
            self.expect(first <= known, f"of {instance}, lines {known} to {first} are lost")
            self.read_on += known > 0
            self._heard[instance] = max(known, after)

    def going_on(self, kernel: Kernel, units: Units) -> list[Proc]:
        """Who has to outlive the master that is about to leave."""
        return [
            proc
            for proc in kernel.workers()
            if proc.unit in units
            and (unit := _unit(units, proc.unit)).worker is not None
            and unit.worker.pid == proc.pid
            and unit.state.current is not None
            and unit.state.current.phase is Phase.READY
            and not proc.leaving
        ]

    def left(self, kernel: Kernel, before: list[Proc], folder: Path) -> None:
        """A master has left in order: who survives goes on, the next one can find it, and all else has ended."""
        for proc in kernel.workers():
            undone = proc.instance in self.decided and not proc.untouchable
            self.expect(not undone, f"{proc} goes on, and its end was decided")
        told = {record["instance"] for record in records(folder)}
        for proc in before:
            self.expect(
                proc.live and not proc.leaving, f"{proc} is ended by the master that leaves"
            )
            self.expect(proc.instance in told, f"{proc} goes on without a record")

    def ended(self, kernel: Kernel, folder: Path) -> None:
        """The last master wanted none of them."""
        for proc in kernel.workers():
            self.expect(proc.untouchable, f"{proc} is forgotten alive")
        self.expect(not records(folder), "a record outlives its process")


def records(folder: Path) -> list[dict[str, Any]]:
    """Those that can be read."""
    found = []
    for path in sorted(folder.glob("*.json")):
        with suppress(ValueError):
            record = json.loads(path.read_text())
            if isinstance(record, dict) and record.get("instance") == path.stem:
                found.append(record)
    return found


def _unit(units: Units, name: str) -> Unit:
    unit = units[name]
    assert isinstance(unit, Unit)
    return unit


def drains(generation: Generation) -> bool:
    """It has calls and is on its way out, as somebody has decided."""
    return generation.phase is Phase.DRAINING and generation.trigger != "master"


def _workers(units: Units, name: str) -> list[Spawned]:
    workers = [instance.worker for instance in _unit(units, name)._instances.values()]
    return [worker for worker in workers if isinstance(worker, Spawned)]
