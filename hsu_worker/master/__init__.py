"""The reference master: starts units when they are called, and stops them when they are idle."""

from hsu_worker.master.blocking import BlockingMaster
from hsu_worker.master.config import Config
from hsu_worker.master.event import Crash, Event
from hsu_worker.master.logs import LogLine
from hsu_worker.master.master import Master
from hsu_worker.master.policy import Phase
from hsu_worker.master.remote import RemoteMaster
from hsu_worker.master.unit_status import UnitStatus

__all__ = [
    "BlockingMaster",
    "Config",
    "Crash",
    "Event",
    "LogLine",
    "Master",
    "Phase",
    "RemoteMaster",
    "UnitStatus",
]
