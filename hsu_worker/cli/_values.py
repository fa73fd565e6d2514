"""Values of options and arguments."""

import base64
import math
from typing import TYPE_CHECKING, Final

import click
from click.core import ParameterSource

from hsu_worker.errors import InvalidArgument

if TYPE_CHECKING:
    from hsu_worker.wire.metadata import Metadata

#: The longest time that a call may have, in seconds: some thirty years.
_LONGEST: Final = 1e9


def seconds(_ctx: click.Context, _param: click.Parameter, value: str | None) -> float | None:
    """A time in seconds, more than none: `5`, `0.5`."""
    if value is None:
        return None
    try:
        time = float(value)
    except ValueError:
        time = math.nan
    if not 0 < time <= _LONGEST:
        raise click.BadParameter(f"{value!r} is no time in seconds, such as 5 or 0.5")
    return time


def metadata(_ctx: click.Context, _param: click.Parameter, value: tuple[str, ...]) -> "Metadata":
    """Pairs `name=value`; for a name that ends in `-bin` the value is base64."""
    from hsu_worker.wire.metadata import check_metadata

    pairs = [_pair(text) for text in value]
    try:
        check_metadata(pairs)
    except InvalidArgument as error:
        raise click.BadParameter(error.message.removeprefix("metadata ")) from None
    return pairs


def _pair(text: str) -> tuple[str, str | bytes]:
    from hsu_worker.wire.metadata import AUTHORIZATION

    name, equals, value = text.partition("=")
    name = name.strip().lower()
    if not equals or not name:
        raise click.BadParameter(f"{text!r} is no NAME=VALUE")
    if name == AUTHORIZATION:
        raise click.BadParameter(f"{name!r}: others could read the token here; use --token-file")
    if not name.endswith("-bin"):
        return name, value
    try:
        return name, base64.b64decode(value + "=" * (-len(value) % 4), validate=True)
    except ValueError:
        raise click.BadParameter(f"{name!r}: the value is no base64") from None


def split_address(words: tuple[str, ...]) -> tuple[str | None, tuple[str, ...]]:
    """The address that a command line begins with, if it does; and the rest.

    Raises:
        UsageError: A master is named beside it.
    """
    if not words or not words[0].startswith(("unix:", "tcp:")):
        return None, words
    if click.get_current_context().get_parameter_source("where") is ParameterSource.COMMANDLINE:
        raise click.UsageError("ADDRESS and --master exclude each other")
    return words[0], words[1:]
