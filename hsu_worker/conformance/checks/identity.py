"""Who it says that it is, and what it says that it offers."""

from typing import Final

from google.protobuf.descriptor import MethodDescriptor

from hsu_worker.conformance.check import Lane, Level, check, check_on
from hsu_worker.conformance.described import listed, service_of, services
from hsu_worker.conformance.family import family
from hsu_worker.conformance.finding import Skipped, during, expect, expect_that
from hsu_worker.conformance.lab import Lab
from hsu_worker.conformance.launched import Launched
from hsu_worker.conformance.worker import Worker
from hsu_worker.gen.hsu_core import Core, HandshakeResponse, MethodInfo
from hsu_worker.interface import fingerprint
from hsu_worker.wire.announce import CONTRACT_VERSION
from hsu_worker.wire.reflected import V1, V1ALPHA

#: What every worker serves, and none offers.
_COMMON: Final = ("hsu.core.", "grpc.")


@check_on(
    Lane.STOPPED,
    Level.MUST,
    "C1",
    "Handshake returns the contract's version, the instance, and a pid of the group launched.",
    "The master calls nobody but the process that it has started.",
    harmless=True,
)
async def handshake_identity(_lab: Lab, worker: Worker) -> None:
    told = await worker.handshake()
    expect("contract_version", CONTRACT_VERSION, told.contract_version)
    if not isinstance(worker, Launched):
        expect_that(bool(told.instance), "an instance", "none")
        return
    expect("instance", worker.variables.instance, told.instance)
    if told.pid != worker.process.pid:
        members = family(worker.variables.instance)
        expect_that(
            told.pid in members and members[told.pid].line.group == worker.process.pid,
            f"pid: one of the process group {worker.process.pid}",
            f"{told.pid}",
        )


@check_on(
    Lane.STOPPED,
    Level.MUST,
    "C1",
    "Handshake tells at least one interface, each with its methods and their messages.",
    "The master compares them with what callers know, before it lends the worker to anybody.",
    harmless=True,
)
async def handshake_interfaces(lab: Lab, worker: Worker) -> None:
    told = await worker.handshake()
    names = [info.name for info in told.interfaces]
    expect_that(bool(names), "an interface", "none")
    expect("names of interfaces", sorted(set(names)), sorted(names))
    for info in told.interfaces:
        expect_that(
            "." in info.name and not info.name.startswith(_COMMON),
            "a full name of an own interface",
            info.name,
        )
        expect_that(bool(info.methods), f"methods of {info.name}", "none")
        methods = [method.name for method in info.methods]
        expect(f"names of methods of {info.name}", sorted(set(methods)), sorted(methods))
        for method in info.methods:
            for what, name in (("input", method.input), ("output", method.output)):
                expect_that(
                    "." in name and not name.startswith("."),
                    f"{what} of {info.name}/{method.name}: a message's full name",
                    repr(name),
                )
    if lab.unit is not None:
        missing = [name for name in lab.unit.implements if name not in names]
        expect("interfaces that the unit implements, and it lacks", [], missing)


@check_on(
    Lane.STOPPED,
    Level.MUST,
    "C1",
    "What Handshake tells of methods, kinds and messages is what reflection tells.",
    "Of two tables that are kept by hand, one is wrong some day.",
    harmless=True,
)
async def handshake_reflection(lab: Lab, worker: Worker) -> None:
    pool = await lab.pool(worker)
    for info in worker.told.interfaces:
        found = service_of(pool, info.name)
        expect(
            f"the methods of {info.name}",
            sorted(map(_described, found.methods)),
            sorted(map(_told, info.methods)),
        )


def _described(method: MethodDescriptor) -> str:
    return _shape(
        method.name,
        method.client_streaming,
        method.input_type.full_name,
        method.server_streaming,
        method.output_type.full_name,
    )


def _told(method: MethodInfo) -> str:
    return _shape(
        method.name, method.client_streaming, method.input, method.server_streaming, method.output
    )


def _shape(name: str, client: bool, given: str, server: bool, returned: str) -> str:
    words = ("", "stream ")
    return f"{name}({words[client]}{given}) returns ({words[server]}{returned})"


@check_on(
    Lane.STOPPED,
    Level.MUST,
    "C3",
    "A fingerprint that Handshake tells is the one that its descriptors give.",
    "A wrong one warns of a difference that there isn't, or hides one.",
    harmless=True,
)
async def handshake_fingerprint(lab: Lab, worker: Worker) -> None:
    told = {info.name: info.fingerprint for info in worker.told.interfaces if info.fingerprint}
    if not told:
        raise Skipped("it tells no fingerprint")
    pool = await lab.pool(worker)
    for name, told_print in told.items():
        expect(f"the fingerprint of {name}", fingerprint(service_of(pool, name)), told_print)


@check_on(
    Lane.STOPPED,
    Level.MUST,
    "C2",
    "A master that speaks another version gets an answer, and the worker's own version.",
    "The one who refuses has to know both versions, to say which is the older.",
    harmless=True,
)
async def handshake_newer(_lab: Lab, worker: Worker) -> None:
    for version in (CONTRACT_VERSION + 1, 0):
        with during(f"asked by a master of version {version}"):
            told = await worker.handshake(version)
            expect("contract_version", CONTRACT_VERSION, told.contract_version)


@check(
    Level.MUST,
    "S4 C1 C13",
    "Handshake and Ping answer in STOPPED, in RUNNING, and in STOPPED again.",
    "They are how the master finds out how the worker stands.",
)
async def core_every_state(lab: Lab) -> None:
    async with lab.launch() as worker:
        for state, turn in (("STOPPED", None), ("RUNNING", worker.run), ("STOPPED", worker.stop)):
            if turn is not None:
                await turn()
            with during(f"in {state}"):
                told = await worker.handshake()
                expect("instance, in the handshake", worker.variables.instance, told.instance)
                names = [info.name for info in told.interfaces]
                expect("interfaces, in the handshake", worker.names, names)
                await worker.expect_state(state)


@check_on(
    Lane.STOPPED,
    Level.SHOULD,
    "C4",
    "Handshake tells name, version, language, limits, state and fingerprints.",
    "People who look for the reason of a failure look there.",
    harmless=True,
)
async def handshake_told(_lab: Lab, worker: Worker) -> None:
    told = await worker.handshake()
    missing = [name for name in ("name", "version", "language", "state") if not getattr(told, name)]
    missing += [
        f"limits.{field.name}"
        for field in HandshakeResponse().limits.DESCRIPTOR.fields
        # Where no handler is bound to a thread there is no number of them.
        if field.name != "threads" and not getattr(told.limits, field.name)
    ]
    missing += [f"the fingerprint of {i.name}" for i in told.interfaces if not i.fingerprint]
    expect("what Handshake doesn't tell", [], missing)


@check_on(
    Lane.STOPPED,
    Level.SHOULD,
    "R1",
    "Reflection, v1 or v1alpha, lists all its interfaces.",
    "Tools that know nothing of it can call it then.",
    harmless=True,
)
async def reflection(_lab: Lab, worker: Worker) -> None:
    answers = [await services(worker, version) for version in (V1, V1ALPHA)]
    names = {name for answer in answers for name in listed(answer)}
    expect_that(
        any(answer.bodies for answer in answers),
        "reflection, v1 or v1alpha",
        "; ".join(map(str, answers)),
    )
    missing = [name for name in (*worker.names, Core.name) if name not in names]
    expect("interfaces that reflection doesn't list", [], missing)


@check_on(
    Lane.STOPPED,
    Level.MAY,
    "R2",
    "Reflection is served in both versions, v1 and v1alpha.",
    "Old tools know the one, new tools ask for the other first.",
    harmless=True,
)
async def reflection_both(_lab: Lab, worker: Worker) -> None:
    for version in (V1, V1ALPHA):
        answer = await services(worker, version)
        expect_that(bool(listed(answer)), f"a list of services from {version}", answer)
