"""A unit that does not start says why, with the last lines that it wrote."""

import asyncio
import json
import re
import sys
from pathlib import Path

import pytest

from hsu_worker.errors import DeadlineExceeded, Dispatch, StartError
from hsu_worker.master.launcher import cancel
from tests.gen.hsu_test_kinds import Ask
from tests.master.running import app, count_starts, processes_in, running, starts, text
from tests.until import until


def script(folder: Path, code: str) -> str:
    """Write a program that knows nothing of hsu_worker; returns the line that launches it."""
    (folder / "program.py").write_text(f"import os, sys, time\n{code}\n")
    return f"command = {json.dumps([sys.executable, 'program.py'])}"


async def error(folder: Path, toml: str) -> str:
    """What a call's StartError says; nothing of the unit is left."""
    async with running(folder, toml) as it:
        with pytest.raises(StartError) as caught:
            await it.kinds.unary(Ask(), timeout=30)
        assert Dispatch.NO == caught.value.dispatched
        failed = await it.event("failed")
        assert caught.value.message == failed.detail
        assert [] == processes_in(folder)
    return caught.value.message


async def test_a_command_that_is_missing(tmp_path: Path) -> None:
    assert (
        "unit 'u' did not start: command 'no-such-program' does not exist: "
        "install it, or correct the PATH"
    ) == await error(tmp_path, text('command = ["no-such-program"]'))


async def test_a_command_that_is_not_executable(tmp_path: Path) -> None:
    (tmp_path / "program").write_text("#!/bin/sh\n")
    message = await error(tmp_path, text('command = ["./program"]'))

    assert message.startswith("unit 'u' did not start: command '")
    assert message.endswith("program' is not executable: run `chmod +x` on it")


async def test_a_command_that_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "program").mkdir()
    assert (
        f"unit 'u' did not start: command '{tmp_path}/program' is a folder: name the program in it"
    ) == await error(tmp_path, text('command = ["./program"]'))


async def test_a_command_that_ends_at_once(tmp_path: Path) -> None:
    code = "print('first', file=sys.stderr); print('no licence', file=sys.stderr); sys.exit(4)"
    assert (
        f"unit 'u' did not start: command '{sys.executable} program.py' ended before it "
        "announced itself: exit code 4; its last output:\n    first\n    no licence"
    ) == await error(tmp_path, text(script(tmp_path, code)))


async def test_a_command_that_never_announces_itself(tmp_path: Path) -> None:
    launch = script(tmp_path, "print('thinking', flush=True); time.sleep(1000)")
    assert (
        "unit 'u' did not start: start timeout: no announce line for 1 s; does it write one "
        "(docs/launch-contract.md)? If it is only slow, raise its `stall`; "
        "its last output:\n    thinking"
    ) == await error(tmp_path, text(launch, 'stall = "1s"'))


async def test_an_app_that_is_slow_to_import_announces_itself_by_itself(tmp_path: Path) -> None:
    launch = app(tmp_path, before="time.sleep(1000)")
    assert (
        "unit 'u' did not start: start timeout: no announce line for 1 s; raise its `stall`"
    ) == await error(tmp_path, text(launch, 'stall = "1s"', 'grace = "100ms"'))


async def test_a_command_that_announces_an_earlier_launch(tmp_path: Path) -> None:
    line = f"HSU 1 {'0' * 32} unix:/a"
    launch = script(tmp_path, f"print('{line}', flush=True); time.sleep(1000)")
    assert (
        "unit 'u' did not start: start timeout: no announce line for 1 s; "
        f"this one is another instance's: '{line}'; write this launch's HSU_INSTANCE; "
        f"its last output:\n    {line}"
    ) == await error(tmp_path, text(launch, 'stall = "1s"'))


ANOTHER = f"HSU 1 {'0' * 32} unix:/a"


@pytest.mark.parametrize(
    ("says", "why"),
    [
        (
            "thinking",
            (
                "does it write one (docs/launch-contract.md)? If it is only slow, "
                "raise its `start_timeout`"
            ),
        ),
        (
            ANOTHER,
            f"this one is another instance's: '{ANOTHER}'; write this launch's HSU_INSTANCE",
        ),
    ],
)
async def test_a_command_whose_start_timeout_ends_first(
    tmp_path: Path, says: str, why: str
) -> None:
    launch = script(tmp_path, f"print('{says}', flush=True); time.sleep(1000)")
    assert (
        f"unit 'u' did not start: start timeout: no announce line for 1 s; {why}; "
        f"its last output:\n    {says}"
    ) == await error(tmp_path, text(launch, 'start_timeout = "1s"'))


@pytest.mark.parametrize(
    ("says", "what"),
    [
        ("thinking", "; its last line: 'thinking'"),
        (ANOTHER, f": this one is another instance's: '{ANOTHER}'"),
    ],
)
async def test_a_caller_whose_time_ends_before_the_announce_line_reads_what_is_awaited(
    tmp_path: Path, says: str, what: str
) -> None:
    launch = script(tmp_path, f"print('{says}', flush=True); time.sleep(1000)")
    async with running(tmp_path, text(launch, 'grace = "100ms"')) as it:
        patient = asyncio.create_task(it.kinds.unary(Ask(), timeout=30))
        await until(lambda: it.lines("stdout") == [says])
        with pytest.raises(DeadlineExceeded) as caught:
            await it.kinds.unary(Ask(), timeout=0.1)
        await cancel(patient)

    assert re.fullmatch(
        re.escape(
            "unit 'u': the time ran out while waiting for it (starting): no announce line for "
        )
        + r"\d+\.\d s"
        + re.escape(what),
        caught.value.message,
    )


async def test_a_command_that_announces_nonsense(tmp_path: Path) -> None:
    code = "os.write(int(os.environ['HSU_ANNOUNCE_FD']), b'hello there\\n'); time.sleep(1000)"
    assert (
        "unit 'u' did not start: not an announce line: 'hello there\\n'; "
        "expected 'HSU 1 <instance> <address>'"
    ) == await error(tmp_path, text(script(tmp_path, code)))


async def test_a_command_that_announces_another_instance(tmp_path: Path) -> None:
    code = "os.write(int(os.environ['HSU_ANNOUNCE_FD']), b'HSU 1 abc unix:/a\\n'); time.sleep(1000)"
    assert (
        "unit 'u' did not start: the announce line is another instance's: 'abc'; "
        "write this launch's HSU_INSTANCE"
    ) == await error(tmp_path, text(script(tmp_path, code)))


async def test_an_app_whose_module_is_elsewhere(tmp_path: Path) -> None:
    message = await error(tmp_path, text('app = "nosuch:App"'))

    assert message.endswith(
        "its last output:\n    'nosuch:App': there is no module 'nosuch'; "
        "set `cwd` in hsu.toml to the folder that holds it, or install it"
    )


async def test_an_app_that_can_not_be_imported(tmp_path: Path) -> None:
    message = await error(tmp_path, text(app(tmp_path, before="raise RuntimeError('no model')")))

    assert f"command '{sys.executable} -m hsu_worker.worker mysvc:Service' ended" in message
    assert "no model" in message


LIFESPAN = """
@lifespan
async def model(self):
    if not Path("model").exists():
        raise RuntimeError("no model here")
    yield
"""


async def test_a_lifespan_that_fails_is_tried_again_by_the_next_call(tmp_path: Path) -> None:
    launch = app(tmp_path, LIFESPAN, before=count_starts(tmp_path))
    async with running(tmp_path, text(launch)) as it:
        with pytest.raises(StartError) as caught:
            await it.kinds.unary(Ask(), timeout=20)
        (tmp_path / "model").touch()
        answer = await it.kinds.unary(Ask(text="now"), timeout=20)
        generation = it.master.status()["u"].generation

    assert caught.value.message.startswith("unit 'u' did not start: its lifespan failed: ")
    assert "no model here" in caught.value.message
    assert caught.value.message.endswith("\n    RuntimeError: no model here")
    assert ("now", 2, 2) == (answer.text, generation, len(starts(tmp_path)))


async def test_a_lifespan_that_fails_is_shown_once_after_what_it_had_printed(
    tmp_path: Path,
) -> None:
    body = (
        "@lifespan\nasync def model(self):\n    print('loading weights')\n"
        "    raise RuntimeError('no model here')\n    yield"
    )
    message = await error(tmp_path, text(app(tmp_path, body)))

    reason, _, output = message.partition("; its last output:\n")
    assert "unit 'u' did not start: its lifespan failed: RuntimeError: no model here" == reason
    assert output.startswith("    loading weights\n")
    assert 1 == output.count("Traceback (most recent call last):")


async def test_a_process_that_ends_in_its_lifespan(tmp_path: Path) -> None:
    body = "@lifespan\nasync def model(self):\n    print('bye', flush=True)\n    os._exit(5)\n    yield"
    message = await error(tmp_path, text(app(tmp_path, body)))

    assert "ended before it was ready: exit code 5" in message
    assert "bye" in message


async def test_a_worker_that_lacks_an_interface(tmp_path: Path) -> None:
    implements = '["hsu.test.v1.Kinds", "hsu.a.v1.InterfaceA"]'
    message = await error(tmp_path, text(app(tmp_path), implements=implements))

    assert message.startswith(
        "unit 'u' did not start: the worker is not the one that was asked for: "
        "it lacks interface hsu.a.v1.InterfaceA; it offers "
    )


async def test_an_impatient_caller_leaves_the_start_to_the_others(tmp_path: Path) -> None:
    wait = "while not Path('go').exists(): time.sleep(0.01)"
    launch = app(tmp_path, before=f"{count_starts(tmp_path)}\n{wait}")
    async with running(tmp_path, text(launch)) as it:
        patient = asyncio.create_task(it.kinds.unary(Ask(text="patient"), timeout=30))
        with pytest.raises(DeadlineExceeded) as caught:
            await it.kinds.unary(Ask(), timeout=0.1)
        await until((tmp_path / "starts").exists)
        (tmp_path / "go").touch()
        answer = await patient

    assert caught.value.message.startswith(
        "unit 'u': the time ran out while waiting for it (starting)"
    )
    assert Dispatch.NO == caught.value.dispatched
    assert ("patient", 1) == (answer.text, len(starts(tmp_path)))


async def test_a_caller_whose_time_ends_in_a_long_start_reads_how_far_it_is(tmp_path: Path) -> None:
    body = (
        "@lifespan\n"
        "async def model(self):\n"
        "    report_progress(0.4, 'reading documents')\n"
        "    while not Path('go').exists():\n"
        "        await asyncio.sleep(0.01)\n"
        "    yield"
    )
    async with running(tmp_path, text(app(tmp_path, body))) as it:
        start = asyncio.create_task(it.master.start("u"))
        await it.event("progress")
        with pytest.raises(DeadlineExceeded) as caught:
            await it.kinds.unary(Ask(), timeout=0.1)
        (tmp_path / "go").touch()
        await start

    assert (
        "unit 'u': the time ran out while waiting for it (starting): 40% reading documents"
    ) == caught.value.message
