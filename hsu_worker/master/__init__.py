"""The reference master: starts units when they are called, and stops them when they are idle."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hsu_worker.master.blocking import BlockingMaster
    from hsu_worker.master.changes import Changes
    from hsu_worker.master.config import Config
    from hsu_worker.master.event import Crash, Event
    from hsu_worker.master.logs import LogLine
    from hsu_worker.master.master import Master
    from hsu_worker.master.policy import Phase
    from hsu_worker.master.remote import RemoteMaster
    from hsu_worker.master.unit_status import ReplicaStatus, UnitStatus, Usage

__all__ = [
    "BlockingMaster",
    "Changes",
    "Config",
    "Crash",
    "Event",
    "LogLine",
    "Master",
    "Phase",
    "RemoteMaster",
    "ReplicaStatus",
    "UnitStatus",
    "Usage",
]

#: Where each name is made. They are imported when they are used: a command that only looks for a
#: running master shall not wait for all that a master is made of.
_HOMES = {
    "BlockingMaster": "blocking",
    "Changes": "changes",
    "Config": "config",
    "Crash": "event",
    "Event": "event",
    "LogLine": "logs",
    "Master": "master",
    "Phase": "policy",
    "RemoteMaster": "remote",
    "ReplicaStatus": "unit_status",
    "UnitStatus": "unit_status",
    "Usage": "unit_status",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
