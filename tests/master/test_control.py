"""The control service over a socket, as a remote master's users see it."""

import asyncio
import socket
import tempfile
from collections.abc import AsyncGenerator, Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from hsu_worker import current_call, implements
from hsu_worker.errors import (
    ConfigError,
    FailedPrecondition,
    NoMaster,
    StartError,
    Unavailable,
    UnknownUnit,
)
from hsu_worker.gen import hsu_master as wire
from hsu_worker.interface import Requests
from hsu_worker.master.changes import Changes
from hsu_worker.master.control import Controlled, ControlService
from hsu_worker.master.event import Event
from hsu_worker.master.logs import LogBatch, LogLine
from hsu_worker.master.messages import event_message, to_event
from hsu_worker.master.policy import Phase
from hsu_worker.master.remote import RemoteMaster
from hsu_worker.master.unit_status import UnitStatus
from hsu_worker.serving.dispatch import Dispatcher
from hsu_worker.serving.server import listening
from hsu_worker.wire.address import Address
from hsu_worker.wire.limits import Limits
from tests.gen.hsu_test_kinds import Answer, Ask, Kinds
from tests.master.running import app, running, text
from tests.until import until

UNKNOWN = "there is no unit 'x'; configured: u, v"


class Fake:
    """A master whose methods do what a test says."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.starting: Callable[[Callable[[float, str], None]], Coroutine[Any, Any, int]] | None = (
            None
        )
        self.taken = 0
        self.left = asyncio.Event()

    def _known(self, unit: str) -> None:
        if unit not in ("u", "v"):
            raise UnknownUnit(f"there is no unit {unit!r}; configured: u, v")

    async def start(
        self, unit: str, *, on_progress: Callable[[float, str], None] | None = None
    ) -> int:
        self._known(unit)
        assert on_progress is not None
        assert self.starting is not None
        return await self.starting(on_progress)

    async def stop(self, unit: str, *, hold: bool = False) -> None:
        self._known(unit)
        self.asked.append((unit, hold))

    async def restart(self, unit: str) -> int:
        self._known(unit)
        raise StartError(f"unit {unit!r} did not start: ö")

    async def swap(
        self, unit: str, *, app: str | None = None, command: Sequence[str] | None = None
    ) -> int:
        self._known(unit)
        self.asked.append((unit, app, command))
        if app == "bad":
            raise ConfigError("'bad' is no app")
        if app == "worse:App":
            raise FailedPrecondition("the old one serves on")
        return 4

    async def reload(self) -> Changes:
        self.asked.append(("reload",))
        if len(self.asked) > 1:
            raise ConfigError("hsu.toml: units.a: one\nhsu.toml: units.b: two")
        return Changes(added=("a",), removed=("b", "c"), replaced=("u",), routed=("a.A",))

    def status(self) -> Mapping[str, UnitStatus]:
        return {
            unit: UnitStatus(
                unit=unit,
                phase=Phase.READY,
                generation=3,
                leases=0,
                waiters=0,
                detail="",
                implements=(),
                failure="",
                retry_in=None,
                pid=None,
            )
            for unit in ("u", "v")
        }

    def why(self, unit: str) -> list[Event]:
        self._known(unit)
        return [Event(unit=unit, generation=3, kind="ready", trigger="start")]

    async def watch(self, units: Collection[str] = ()) -> AsyncGenerator[Event, None]:
        try:
            await asyncio.Event().wait()
            yield Event(unit="u", generation=3, kind="ready")
        finally:
            self.left.set()

    def follow_log(
        self, unit: str, *, after: int = 0, tail: int = 0, follow: bool = True
    ) -> AsyncGenerator[LogBatch, None]:
        self._known(unit)
        self.asked.append((unit, after, tail, follow))
        return self._batches()

    async def _batches(self) -> AsyncGenerator[LogBatch, None]:
        try:
            while self.taken < 500:
                self.taken += 1
                yield LogBatch(0, (LogLine(self.taken, 1.0, 1, "stdout", "x" * 100_000),))
        finally:
            self.left.set()


@asynccontextmanager
async def remote(folder: Path, master: Controlled) -> AsyncGenerator[RemoteMaster, None]:
    """Serve a master as true ones do, and connect to it."""
    (folder / "token").touch(0o600)
    (folder / "token").write_text("secret")
    dispatcher = Dispatcher(token="secret", limits=Limits())
    dispatcher.add_own(wire.Master, ControlService(master))
    address = Address.parse(f"unix:{folder}/master.sock")
    async with listening(dispatcher, address), RemoteMaster(str(folder)) as there:
        yield there


async def test_a_start_tells_its_progress_and_ends_with_the_generation(tmp_path: Path) -> None:
    master, told = Fake(), list[tuple[float, str]]()
    heard = asyncio.Event()

    async def start(report: Callable[[float, str], None]) -> int:
        report(0.5, "half")
        await heard.wait()
        return 3

    def on_progress(fraction: float, text: str) -> None:
        told.append((fraction, text))
        heard.set()

    master.starting = start
    async with remote(tmp_path, master) as there:
        assert 3 == await there.start("u", on_progress=on_progress)
    assert [(0.5, "half")] == told


async def test_the_last_message_of_a_start_says_ready(tmp_path: Path) -> None:
    master = Fake()

    async def start(report: Callable[[float, str], None]) -> int:
        return 3

    master.starting = start
    async with remote(tmp_path, master) as there:
        steps = [step async for step in there._control().start(wire.StartRequest(unit="u"))]
    assert [wire.StartResponse(phase=wire.PHASE_READY, fraction=1.0, generation=3)] == steps


async def test_who_follows_a_start_slowly_hears_of_the_latest_progress(tmp_path: Path) -> None:
    master, told, heard = Fake(), list[float](), asyncio.Event()

    async def start(report: Callable[[float, str], None]) -> int:
        for number in range(1000):
            report(number / 1000, "")
        await heard.wait()
        return 3

    def on_progress(fraction: float, _text: str) -> None:
        told.append(fraction)
        heard.set()

    master.starting = start
    async with remote(tmp_path, master) as there:
        await there.start("u", on_progress=on_progress)
    assert [0.999] == told


async def test_who_leaves_a_start_early_does_not_stop_it(tmp_path: Path) -> None:
    line = app(
        tmp_path,
        "@lifespan\n"
        "async def loaded(self):\n"
        "    report_progress(0.5, 'half')\n"
        "    while not os.path.exists('go'): await asyncio.sleep(0.002)\n"
        "    yield",
    )
    async with running(tmp_path, text(line)) as it, RemoteMaster(str(it.master.address)) as there:
        reported = asyncio.Event()
        starting = asyncio.create_task(
            there.start("u", on_progress=lambda _fraction, _text: reported.set())
        )
        await reported.wait()
        starting.cancel()
        await asyncio.wait((starting,))
        await until(lambda: it.master.status()["u"].waiters == 0)
        (tmp_path / "go").touch()
        ready = await it.event("ready")
    assert 1 == ready.generation


async def test_what_a_true_master_knows_comes_over(tmp_path: Path) -> None:
    body = "@lifespan\ndef loaded(self):\n    print('loaded', flush=True)\n    yield"
    async with running(tmp_path, text(app(tmp_path, body))) as it:
        master = it.master
        async with RemoteMaster(str(master.address)) as there:
            assert master.status() == await there.status()
            assert 1 == await there.start("u")
            assert 2 == await there.restart("u")
            assert master.status() == await there.status()
            # What it tells of time is as exact as a nanosecond.
            why = [to_event(event_message(event)) for event in master.why("u")]
            assert why == await there.why("u")
            await until(lambda: it.lines("stdout") == ["loaded", "loaded"])
            assert master.log("u") == await there.log("u")
            await there.stop("u", hold=True)
            assert Phase.HELD == master.status()["u"].phase


async def test_a_watch_misses_nothing_after_its_first_message(tmp_path: Path) -> None:
    config = text(app(tmp_path))
    async with running(tmp_path, config) as it, RemoteMaster(str(it.master.address)) as there:
        answers = there._control().watch(wire.WatchRequest(units=["u"]))
        assert wire.WatchResponse() == await anext(answers)
        await it.master.start("u")
        kinds = [(await anext(answers)).event.kind for _ in range(2)]
        await answers.aclose()
        await until(lambda: not it.master._watchers)

        events = there.watch()
        coming = asyncio.ensure_future(anext(events))
        await until(lambda: it.master._watchers)
        await there.stop("u")
        event = await coming
        await events.aclose()
    assert [wire.EVENT_KIND_STARTING, wire.EVENT_KIND_READY] == kinds
    assert ("u", "stopping", "asked") == (event.unit, event.kind, event.trigger)


async def test_streams_end_when_the_master_leaves(tmp_path: Path) -> None:
    # Short: it is a part of the paths of sockets.
    with tempfile.TemporaryDirectory(prefix="hsu-t-") as runtime:
        toml = f'[master]\nruntime_dir = "{runtime}"\n{text(app(tmp_path))}'
        async with running(tmp_path, toml) as it, RemoteMaster(runtime) as there:
            streams = [there.watch(), there.follow_log("u")]
            reading = [asyncio.ensure_future(anext(stream)) for stream in streams]
            await until(lambda: it.master._watchers)
            await there.status()
            async with asyncio.timeout(20):
                await it.master.__aexit__(None, None, None)
                ends = await asyncio.gather(*reading, return_exceptions=True)
    assert ["UNAVAILABLE: the master is leaving"] * 2 == [str(end) for end in ends]


@pytest.mark.parametrize(
    "ask",
    [
        lambda there: there.start("x"),
        lambda there: there.stop("x"),
        lambda there: there.restart("x"),
        lambda there: there.swap("x"),
        lambda there: there.why("x"),
        lambda there: there.log("x"),
        lambda there: anext(there.watch(("u", "x"))),
        lambda there: anext(there.follow_log("x")),
    ],
)
async def test_an_unknown_unit_is_named_with_those_that_there_are(
    tmp_path: Path, ask: Callable[[RemoteMaster], Coroutine[Any, Any, Any]]
) -> None:
    master = Fake()
    async with remote(tmp_path, master) as there:
        with pytest.raises(UnknownUnit) as refused:
            await ask(there)
    assert UNKNOWN == str(refused.value)


async def test_list_can_be_asked_for_some_units(tmp_path: Path) -> None:
    async with remote(tmp_path, Fake()) as there:
        answer = await there._control().list(wire.ListRequest(units=["v"]))
        with pytest.raises(UnknownUnit, match=UNKNOWN), there._errors():
            await there._control().list(wire.ListRequest(units=["v", "x"]))
    assert ["v"] == [unit.unit for unit in answer.units]


async def test_errors_come_over_as_what_they_are(tmp_path: Path) -> None:
    async with remote(tmp_path, Fake()) as there:
        with pytest.raises(StartError) as failed:
            await there.restart("u")
        with pytest.raises(ConfigError) as wrong:
            await there.swap("u", app="bad")
        with pytest.raises(FailedPrecondition) as refused:
            await there.swap("u", app="worse:App")
    assert "unit 'u' did not start: ö" == failed.value.message
    assert "'bad' is no app" == str(wrong.value)
    assert "the old one serves on" == refused.value.message


async def test_arguments_arrive_as_they_were_given(tmp_path: Path) -> None:
    master = Fake()
    async with remote(tmp_path, master) as there:
        await there.stop("u")
        await there.stop("v", hold=True)
        assert 4 == await there.swap("u")
        await there.swap("u", command=["./bin", "-x"])
        await anext(there.follow_log("u", after=3, tail=4, follow=False))
    assert [
        ("u", False),
        ("v", True),
        ("u", None, None),
        ("u", None, ("./bin", "-x")),
        ("u", 3, 4, False),
    ] == master.asked


async def test_what_a_reload_has_changed_is_told(tmp_path: Path) -> None:
    async with remote(tmp_path, Fake()) as there:
        found = await there.reload()
        with pytest.raises(ConfigError) as caught:
            await there.reload()
    assert Changes(added=("a",), removed=("b", "c"), replaced=("u",), routed=("a.A",)) == found
    assert "hsu.toml: units.a: one\nhsu.toml: units.b: two" == str(caught.value)


async def test_who_reads_a_log_slowly_holds_its_stream_back(tmp_path: Path) -> None:
    master = Fake()
    async with remote(tmp_path, master) as there:
        batches = there.follow_log("u")
        first = await anext(batches)
        for _ in range(50):
            await there.status()
        taken = master.taken
        await batches.aclose()
        # And who leaves ends it.
        await asyncio.wait_for(master.left.wait(), 20)
    assert 1 == first.lines[0].sequence
    # 500 batches have 50 MB; what is on its way is a small part of it.
    assert taken < 300


async def test_who_leaves_a_watch_ends_it(tmp_path: Path) -> None:
    master = Fake()
    async with remote(tmp_path, master) as there:
        answers = there._control().watch(wire.WatchRequest())
        await anext(answers)
        await answers.aclose()
        await asyncio.wait_for(master.left.wait(), 20)


async def test_a_wrong_token_and_none_are_told_with_the_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = f"unix:{tmp_path}/master.sock"
    cure = "name the file that holds its token with --token-file or HSU_MASTER_TOKEN_FILE"
    async with remote(tmp_path, Fake()):
        monkeypatch.setenv("HSU_MASTER_TOKEN", "wrong")
        async with RemoteMaster(where) as there:
            with pytest.raises(NoMaster) as refused:
                await there.status()
        monkeypatch.delenv("HSU_MASTER_TOKEN")
        (tmp_path / "token").unlink()
        async with RemoteMaster(where) as there:
            with pytest.raises(NoMaster) as asked:
                await there.status()
    assert f"the master at {where} refuses the token of HSU_MASTER_TOKEN; {cure}" == str(
        refused.value
    )
    assert f"the master at {where} asks for a token; {cure}" == str(asked.value)


async def test_where_nobody_listens_there_is_no_master(tmp_path: Path) -> None:
    where = f"unix:{tmp_path}/master.sock"
    async with RemoteMaster(where) as there:
        with pytest.raises(NoMaster) as refused:
            await there.status()
    assert str(refused.value).startswith(f"no master answers at {where}: ")
    assert str(refused.value).endswith("; start one with `hsu-worker master run hsu.toml`")


async def test_another_server_is_no_master(tmp_path: Path) -> None:
    address = Address.parse(f"unix:{tmp_path}/other.sock")
    dispatcher = Dispatcher(limits=Limits())
    async with listening(dispatcher, address), RemoteMaster(str(address)) as there:
        with pytest.raises(NoMaster, match=f"^what answers at {address} is no master: "):
            await there.status()


async def test_a_master_that_does_not_answer_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hsu_worker.master.remote.LOOK_TIMEOUT", 0.05)
    where = f"unix:{tmp_path}/master.sock"
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(f"{tmp_path}/master.sock")
        silent.listen()
        async with RemoteMaster(where) as there:
            with pytest.raises(NoMaster) as late:
                await there.status()
    assert f"the master at {where} has not answered for 0.05 s" == str(late.value)


async def test_a_call_through_the_gateway_names_its_unit(tmp_path: Path) -> None:
    @implements(Kinds)
    class Telling:
        async def unary(self, request: Ask) -> Answer:
            return Answer(text=str(current_call().metadata.get("hsu-unit")))

        async def client_stream(self, _requests: Requests[Ask]) -> Answer:
            return Answer()

        async def server_stream(self, _request: Ask) -> AsyncGenerator[Answer, None]:
            yield Answer()

        async def bidi(self, _requests: Requests[Ask]) -> AsyncGenerator[Answer, None]:
            yield Answer()

    address = Address.parse(f"unix:{tmp_path}/s")
    dispatcher = Dispatcher(limits=Limits())
    dispatcher.add(Kinds, Telling())
    async with listening(dispatcher, address), RemoteMaster(str(address)) as there:
        named = await there.client(Kinds, unit="u").unary(Ask())
        unnamed = await there.client(Kinds).unary(Ask())
    assert ("u", "None") == (named.text, unnamed.text)


async def test_a_remote_master_is_used_inside_its_block() -> None:
    there = RemoteMaster("unix:/nowhere")
    with pytest.raises(RuntimeError, match=r"^there is no connection: use it inside `async with`$"):
        await there.status()


async def test_calls_end_with_the_connection(tmp_path: Path) -> None:
    async with remote(tmp_path, Fake()) as there:
        async with RemoteMaster(str(tmp_path)) as second:
            answers = second._control().watch(wire.WatchRequest())
            await anext(answers)
        with pytest.raises(Unavailable):
            await anext(answers)
        assert {"u", "v"} == set(await there.status())
