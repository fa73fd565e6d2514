"""Workers that break what checks/lifeline.py asks for."""

from tests.conformance.mutants.mutant import SLOW, Mutant

_LIFELINE = "when_lifeline_ends.append(lambda: loop.call_soon_threadsafe(self.leave, 2))"

MUTANTS = (
    Mutant("lifeline", _LIFELINE, "when_lifeline_ends.append(lambda: None)", "lives on"),
    Mutant("lifeline", _LIFELINE, "when_lifeline_ends.append(lambda: os._exit(1))", "exit code 1"),
    Mutant(
        "lifeline-while-starting",
        _LIFELINE,
        "when_lifeline_ends.append(lambda: self.start and not self.start.done() or "
        "loop.call_soon_threadsafe(self.leave, 2))",
        "lives on",
        help=SLOW,
    ),
    Mutant(
        "lifeline-before-announcement",
        'if HSU["LIFELINE"] != "none":',
        'if HSU["LIFELINE"] != "none" and not __import__("select").select([0], [], [], 0)[0]:',
        "lives on",
    ),
    Mutant("lifeline-with-call", "(self.leave, 2)", "(self.leave, 600)", "lives on"),
    Mutant(
        "lifeline-by-default",
        'if HSU["LIFELINE"] != "none":',
        'if HSU["LIFELINE"] == "stdin":',
        "lives on",
    ),
    Mutant(
        "lifeline-bytes",
        "    while os.read(lifeline, 4096):\n        pass\n",
        "    os.read(lifeline, 4096)\n",
        "it has exited",
    ),
    Mutant("lifeline-none", 'if HSU["LIFELINE"] != "none":', "if True:", "it has exited"),
    Mutant(
        "master-killed",
        "    when_lifeline_ends[-1]()\n",
        '    print("the master is gone", flush=True)\n    when_lifeline_ends[-1]()\n',
        "lives on",
    ),
)
