"""Whether a worker is the one that was asked for."""

import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from hsu_worker.errors import HandshakeError
from hsu_worker.gen.hsu_core import (
    CoreClient,
    HandshakeRequest,
    HandshakeResponse,
    InterfaceInfo,
    MethodInfo,
)
from hsu_worker.interface import AnyInterface
from hsu_worker.wire.announce import CONTRACT_VERSION
from hsu_worker.wire.connection import Connection

log = logging.getLogger(__name__)

#: Seconds that a worker has to answer; it needs no lifespan for it.
TIMEOUT = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What the handshake has to confirm."""

    unit: str
    implements: Sequence[str]
    instance: str = ""
    """Empty: any."""


async def shake_hands(
    connection: Connection, expected: Expected, *, master_id: str
) -> HandshakeResponse:
    """Ask a worker who it is.

    Raises:
        HandshakeError: It is another one, speaks another version, or lacks an interface; the
            message lists all that differs.
        RpcError: It did not answer.
    """
    answer = await CoreClient(connection).handshake(
        HandshakeRequest(
            contract_version=CONTRACT_VERSION, master_id=master_id, unit=expected.unit
        ),
        timeout=TIMEOUT,
    )
    problems = []
    if answer.contract_version != CONTRACT_VERSION:
        problems.append(
            f"it speaks version {answer.contract_version} of the launch contract, "
            f"this master version {CONTRACT_VERSION}; update the older one"
        )
    if expected.instance and answer.instance != expected.instance:
        problems.append(f"it is instance {answer.instance!r}, not {expected.instance!r}")
    offered = [info.name for info in answer.interfaces]
    problems += [
        f"it lacks interface {name}; it offers {', '.join(offered) or 'none'}"
        for name in expected.implements
        if name not in offered
    ]
    if problems:
        raise HandshakeError("; ".join(problems))
    return answer


def check_compatible(
    unit: str, interface: AnyInterface, offered: Iterable[InterfaceInfo], *, strict: bool
) -> None:
    """Compare what a client knows of an interface with what a worker offers.

    Each method that the client knows has to exist, with the same kinds and message names.

    Raises:
        HandshakeError: Something differs; the message lists it. With `strict`, unequal
            fingerprints are enough; without it they are a warning.
    """
    info = next((info for info in offered if info.name == interface.name), None)
    if info is None:
        raise HandshakeError(f"unit {unit!r} does not offer interface {interface.name}")
    methods = {method.name: method for method in info.methods}
    problems = []
    for method in interface.methods.values():
        have = methods.get(method.name)
        if have is None:
            problems.append(f"method {method.name} is missing")
            continue
        for what, mine, theirs in (
            ("requests", _stream(method.client_streaming), _stream(have.client_streaming)),
            ("responses", _stream(method.server_streaming), _stream(have.server_streaming)),
            ("request", method.request.DESCRIPTOR.full_name, have.input),
            ("response", method.response.DESCRIPTOR.full_name, have.output),
        ):
            if mine != theirs:
                problems.append(
                    f"{method.name}: {what}: the client knows {mine}, the worker {theirs}"
                )
    differs = bool(info.fingerprint) and info.fingerprint != interface.fingerprint
    if not problems and differs:
        text = f"the fingerprints of {interface.name} differ: one side has other methods or fields"
        if strict:
            problems.append(text)
        else:
            log.warning("unit %r: %s", unit, text)
    if problems:
        problems.append("make the older side's code anew with `hsu-worker gen`")
        raise HandshakeError(f"unit {unit!r}, interface {interface.name}: " + "; ".join(problems))


def check_replaces(
    old: HandshakeResponse | None, new: HandshakeResponse, called: Collection[str], *, strict: bool
) -> None:
    """Whether a worker can take another one's place: it offers each method that the other has.

    Args:
        old: What the other one said of itself; None: there was none.

        new: What it says of itself.

        called: The interfaces that calls go to; what else the other one offers may be missing.

        strict: See below.

    Raises:
        HandshakeError: It can't; the message lists what it lacks. With `strict`, unequal
            fingerprints are enough; without it they are a warning.
    """
    offered = {
        (info.name, method.name): _shape(method)
        for info in new.interfaces
        for method in info.methods
    }
    problems = []
    replaced = [info for info in (old.interfaces if old is not None else ()) if info.name in called]
    for info in replaced:
        for method in info.methods:
            shape = offered.get((info.name, method.name))
            path = f"{info.name}/{method.name}"
            if shape is None:
                problems.append(f"{path} is missing")
            elif shape != _shape(method):
                problems.append(f"{path} is {shape}, it was {_shape(method)}")
    fingerprints = {info.name: info.fingerprint for info in new.interfaces}
    for info in replaced if not problems else ():
        other = fingerprints[info.name]
        if info.fingerprint and other and info.fingerprint != other:
            text = f"the fingerprints of {info.name} differ: one side has other methods or fields"
            if strict:
                problems.append(text)
            else:
                log.warning("the one that takes the place of the old one: %s", text)
    if problems:
        raise HandshakeError("it can't take the place of the old one: " + "; ".join(problems))


def _shape(method: MethodInfo) -> str:
    requests = "stream " if method.client_streaming else ""
    responses = "stream " if method.server_streaming else ""
    return f"({requests}{method.input}) returns ({responses}{method.output})"


def _stream(streaming: bool) -> str:
    return "a stream" if streaming else "one message"
