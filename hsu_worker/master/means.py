"""What processes of workers are made with."""

from collections.abc import Callable
from typing import TypedDict

from hsu_worker.master.keeping import Keeper
from hsu_worker.master.slots import Slots
from hsu_worker.master.tokens import Tokens


class Means(TypedDict):
    """What every process of a master is made with.

    `slots` is where it has to wait for its turn; None: nowhere. `tell_unforkable` takes the unit's
    name, and why it was not forked.
    """

    master_id: str
    keeper: Keeper
    tokens: Tokens
    slots: Slots | None
    tell_unforkable: Callable[[str, str], None]
