"""Planted bugs of survival: of records, of adoption, and of the keepers that leave survivors alone.

What proves who a process is stands in two places, the master and the keeper: such a bug is in both.
"""

from tests.master.sim.mutants import Mutant

FLAW = "survivors:Record.flaw"
PROVE = "keeper.units:Units._prove"


def both(name: str, flaw: tuple[str, str], prove: tuple[str, str]) -> tuple[Mutant, Mutant]:
    """Of the master, and of its keeper."""
    return Mutant(name, "T25", FLAW, *flaw), Mutant(name, "T25", PROVE, *prove)


#: Below `hsu_worker.master`; those of a tuple are one bug.
MUTANTS: tuple[tuple[Mutant, ...], ...] = (
    both(
        "a pid says who it is",
        (
            "if line is None or not line.live:",
            'if line is not None and line.live:\n        return ""\n    if line is None:',
        ),
        ("line.start == unit.start and unit.owns(line)", "True"),
    ),
    both(
        "when a process started is not compared",
        ("line.start != self.start", "False"),
        ("line.start == unit.start and ", ""),
    ),
    both(
        "the mark of a process is not compared",
        ('not any(f"/{self.mark}/" in mark for mark in line.marks())', "False"),
        (" and unit.owns(line)", ""),
    ),
    (
        Mutant(
            "the boot of the machine is not compared",
            "T25",
            FLAW,
            "self.boot != boot_id()",
            "False",
        ),
    ),
    (
        Mutant(
            "an adoption without asking who it is",
            "T25",
            "launcher:Worker.greet",
            "instance=instance",
            'instance=""',
        ),
    ),
    (
        Mutant(
            "what answers as another one is ended",
            "T25",
            "surviving:Surviving._find",
            "self._stranger = True",
            "pass",
        ),
    ),
    (
        Mutant(
            "a damaged record is thrown away",
            "T25",
            "survivors:Survivors._put_aside",
            "path.rename(aside)",
            "path.unlink()",
        ),
    ),
    (
        Mutant(
            "a record that is written in its place",
            "T23",
            "survivors:Survivors.write",
            'descriptor, name = tempfile.mkstemp(dir=self.folder, suffix=".tmp")',
            'name = str(self.path(record.instance, "json"))\n'
            "    descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)",
        ),
    ),
    (
        Mutant(
            "a record that is written after the spawn only",
            "T23",
            "surviving:Surviving._before_spawn",
            "self._note(mark=mark)",
            "self._record = replace(self._record, mark=mark)",
        ),
    ),
    (
        Mutant(
            "what was not recorded after its spawn is forgotten",
            "T23",
            "survivors:Record.found",
            "if self.boot == boot_id():",
            "if False:",
        ),
    ),
    (
        Mutant(
            "a record goes before its process",
            "T24",
            "surviving:Surviving.stop",
            "how = await super().stop(force=force, leaving=leaving)",
            "self._survivors.remove(self._instance)\n"
            "    how = await Spawned.stop(self, force=force, leaving=leaving)",
        ),
    ),
    (
        Mutant(
            "a record that stays",
            "T24",
            "survivors:Survivors.remove",
            "path.unlink(missing_ok=True)",
            "pass",
        ),
    ),
    (
        Mutant(
            "of two workers of a swap one is forgotten",
            "T24",
            "launchers:Launchers._choose",
            "self.leftovers.end(each, why)",
            "pass",
        ),
    ),
    (
        Mutant(
            "of two workers of a swap the older one is adopted, whatever it is",
            "T24",
            "launchers:Launchers._choose",
            "if number == len(workers) or await worker.meet():",
            "if True:",
        ),
    ),
    (
        Mutant(
            "a worker is adopted whose end had begun",
            "T24",
            "launchers:_unwanted",
            "if record.ending:",
            "if False:",
        ),
    ),
    (
        Mutant(
            "a decision is recorded when its calls have ended",
            "T24",
            "surviving:Surviving.ends",
            "self._note_end()",
            "pass",
        ),
    ),
    (
        Mutant(
            "a master that leaves lets go what was to end",
            "T24",
            "surviving:Surviving.stop",
            " or self._record.ending",
            "",
        ),
    ),
    (
        Mutant(
            "a master that leaves ends what it finds with calls",
            "T24",
            "surviving:Surviving.ends",
            "if not self._survivors.leaving:",
            "if True:",
        ),
    ),
    (
        Mutant(
            "a worker of another table is adopted",
            "T24",
            "launchers:_unwanted",
            "record.launch != launch_digest(unit)",
            "False",
        ),
    ),
    (
        Mutant(
            "what is not wanted any more is adopted",
            "T24",
            "launchers:_unwanted",
            'unit.survivor == "stop"',
            "False",
        ),
    ),
    (
        Mutant(
            "a master that leaves ends what outlives it",
            "T24",
            "launchers:Launchers.leave",
            "self.survivors.leaving = True",
            "pass",
        ),
    ),
    (
        Mutant(
            "what was adopted ends with the master that adopted it",
            "T22",
            "surviving:Surviving._find",
            "outlives=True",
            "outlives=False",
        ),
    ),
    (
        Mutant(
            "the keeper ends whatever it has started",
            "T22",
            "keeper.units:Units.let_go",
            "if unit.outlives]",
            "if False]",
        ),
    ),
    (
        Mutant(
            "the next keeper does not know who survives",
            "T22",
            "process:Process.handover",
            '"outlives": self._outlives',
            '"outlives": False',
        ),
    ),
    (
        Mutant(
            "an end that nobody saw is a good one",
            "T26",
            "surviving:_unwatched",
            "text=str(Exit(None, None, 0))",
            'text="exit code 0", code=0, clean=True',
        ),
    ),
    (
        Mutant(
            "what was printed while no master ran is not read",
            "T27",
            "output_files:OutputFiles.follow",
            "OutputPipe(take), start)",
            "OutputPipe(take), 1 << 60)",
        ),
    ),
)
