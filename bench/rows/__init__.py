"""What is measured: a file for each topic, a function for what is measured together."""

from collections.abc import Callable, Coroutine
from typing import Any, Final

from bench.measure import Row
from bench.rows.calls import streams, unary
from bench.rows.crowds import crowds
from bench.rows.dispatch import dispatch
from bench.rows.gateway import gateway
from bench.rows.languages import languages
from bench.rows.leases import leases
from bench.rows.logs import logs
from bench.rows.residency import residency
from bench.rows.scale import scale
from bench.rows.starts import starts, steps, stops
from bench.rows.survival import survival
from bench.rows.swaps import recovery, swaps
from bench.rows.uncalled import uncalled

#: By name. Each function is given whether to measure in full.
ROWS: Final[dict[str, Callable[[bool], Coroutine[Any, Any, list[Row]]]]] = {
    each.__name__: each
    for each in (
        starts,
        steps,
        stops,
        crowds,
        unary,
        streams,
        dispatch,
        leases,
        logs,
        gateway,
        swaps,
        recovery,
        scale,
        languages,
        residency,
        survival,
        uncalled,
    )
}
