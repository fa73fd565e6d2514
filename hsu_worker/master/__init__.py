"""The reference master: starts units when they are called, and stops them when they are idle."""

from hsu_worker.master.blocking import BlockingMaster
from hsu_worker.master.config import Config
from hsu_worker.master.logs import LogLine
from hsu_worker.master.master import Master, UnitStatus
from hsu_worker.master.policy import Phase
from hsu_worker.master.unit import Event

__all__ = ["BlockingMaster", "Config", "Event", "LogLine", "Master", "Phase", "UnitStatus"]
