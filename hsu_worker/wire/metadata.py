"""Names in metadata and trailers, and the token that lets a caller in."""

import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from contextvars import ContextVar
from typing import Final, Protocol, TypeAlias

from hsu_worker.errors import Dispatch, InvalidArgument

#: Metadata of one call: lower-case names, text values; bytes for names that end in `-bin`.
Metadata: TypeAlias = Sequence[tuple[str, str | bytes]]

AUTHORIZATION = "authorization"
#: Trailer: `no`, `yes` or `unknown`; see `hsu_worker.errors.Dispatch`.
DISPATCHED = "hsu-dispatched"
#: Trailer: a serialised google.rpc.Status, as every gRPC implementation names it.
STATUS_DETAILS = "grpc-status-details-bin"
#: Metadata: the call's id, in hex. The first worker makes it; the calls it makes carry it on.
CALL_ID = "hsu-call-id"
#: Metadata: the unit that a call is for, at a master's gateway.
UNIT = "hsu-unit"
#: The domain of every google.rpc.ErrorInfo of ours.
ERROR_DOMAIN = "hsu"


class Identified(Protocol):
    """A call that is being handled, as far as those must know it that are made meanwhile."""

    @property
    def id(self) -> str:
        """They carry it on."""
        ...


IDENTIFIED: Final[ContextVar[Identified]] = ContextVar("hsu_current_call")

_NAME: Final = re.compile(r"[0-9a-z_.-]+")
_TEXT: Final = re.compile(r"[ -~]*")


def is_token(text: str) -> bool:
    """It can be presented: printable ASCII without spaces."""
    return text.isascii() and text.isprintable() and text != "" and " " not in text


def bearer(token: str) -> Metadata:
    """The metadata that presents `token`; none for an empty one."""
    return ((AUTHORIZATION, f"Bearer {token}"),) if token else ()


def presents(metadata: Iterable[tuple[str, str | bytes]] | None, token: str) -> bool:
    """Whether `metadata` presents exactly `token`. Compares in constant time.

    Nothing presents an empty token: a server that asks for none doesn't call this.
    """
    given: str | bytes | None = None
    for name, value in metadata or ():
        if name == AUTHORIZATION:
            if given is not None:
                return False
            given = value
    if not token or given is None:
        return False
    value = given.encode() if isinstance(given, str) else given
    return hmac.compare_digest(value, f"Bearer {token}".encode())


def check_metadata(metadata: Metadata) -> None:
    """Refuse what can't be sent; grpc would say so in its own log only.

    Raises:
        InvalidArgument: A name or a value is malformed. The message names it, without the value.

        TypeError: It is a mapping, of which a name can be there only once.
    """
    if isinstance(metadata, Mapping):
        raise TypeError(
            "metadata is a list of pairs, such as [('x-user', 'ada')]; "
            "of a mapping, write list(mapping.items())"
        )
    for name, value in metadata:
        if not _NAME.fullmatch(name):
            problem = "names are lower case letters, digits and `_.-`"
        elif name.endswith("-bin"):
            if isinstance(value, bytes):
                continue
            problem = "the value of a name in -bin is bytes"
        elif isinstance(value, str) and _TEXT.fullmatch(value):
            continue
        else:
            problem = "the value is not printable ASCII; send bytes, under a name in -bin"
        raise InvalidArgument(f"metadata {name!r}: {problem}", dispatched=Dispatch.NO)
