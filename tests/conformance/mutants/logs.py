"""Workers that break what checks/logs.py asks for."""

from tests.conformance.mutants.mutant import Mutant

MUTANTS = (
    Mutant(
        "log-window",
        'core.LogWindow(instance=HSU["INSTANCE"],',
        'core.LogWindow(instance="x",',
        "x",
    ),
    Mutant(
        "log-window",
        "        yield core.StreamLogsResponse(window=window)\n",
        "",
        "''",
    ),
    Mutant("log-resume", "record.sequence >= cursor", "record.sequence > cursor", "[]"),
    Mutant(
        "log-resume",
        "request.sequence or log.oldest",
        "log.oldest",
        "",
    ),
    Mutant("log-follow", "if not request.follow or log.closed:", "if True:", "it has ended"),
    Mutant(
        "log-follow",
        "        self.next += 1\n        self.ring()\n",
        "        self.next += 1\n",
        "[]",
    ),
    Mutant("log-filter", "record.level >= request.level and", "True and", "["),
    Mutant("log-filter", "(not request.logger or below)", "True", "["),
    Mutant("log-restarted", "window.restarted = restarted", "pass", "False"),
    Mutant("log-out-of-range", "if cursor > log.next:", "if False:", "1 messages"),
    Mutant("log-dropped", "dropped = max(0, log.oldest - cursor)", "dropped = 0", "["),
)
