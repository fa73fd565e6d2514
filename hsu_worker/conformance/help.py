"""What somebody who knows the worker tells the kit, so that it can check more."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Help:
    """Each part lets some checks be made that are skipped without it.

    The variables are those of the environment with which the worker does what the field says.
    """

    slow_method: str = ""
    """A method whose call takes at least two seconds, such as `hsu.a.v1.InterfaceA/Summarize`."""
    slow_request: str = "{}"
    """The request with which it does, in protobuf's JSON."""
    slow_start: Mapping[str, str] = field(default_factory=dict)
    """Start takes at least two seconds, and tells its progress."""
    failing_start: Mapping[str, str] = field(default_factory=dict)
    """Start fails."""
    stuck_release: Mapping[str, str] = field(default_factory=dict)
    """What Start acquired is never released."""
    flood: Mapping[str, str] = field(default_factory=dict)
    """It writes at least 50 MiB to stdout or stderr once it runs."""
