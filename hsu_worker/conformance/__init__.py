"""Proof that a worker, in whatever language, does what docs/launch-contract.md asks for."""

from hsu_worker.conformance.check import Check, Level
from hsu_worker.conformance.help import Help
from hsu_worker.conformance.junit import junit
from hsu_worker.conformance.report import Outcome, Report, Result
from hsu_worker.conformance.run import check
from hsu_worker.conformance.target import Running, command

__all__ = [
    "Check",
    "Help",
    "Level",
    "Outcome",
    "Report",
    "Result",
    "Running",
    "check",
    "command",
    "junit",
]
