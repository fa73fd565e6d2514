"""`hsu-worker why`, of what really happened: its trigger and its evidence."""

import asyncio
import json
import os
import re
import signal
from pathlib import Path

import pytest

from hsu_worker.errors import RpcError
from hsu_worker.master.remote import RemoteMaster
from tests.cli.shell import Shell, running, until_phase
from tests.gen.hsu_test_kinds import Ask, Kinds

TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"


async def test_why_tells_what_happened_with_its_evidence(shell: Shell) -> None:
    async with running(shell):
        assert "u does not run; the next call starts it (it was never started).\n" == (
            await shell.out("why", "u")
        )
        await shell.run("start", "u")
        [unit] = await shell.json("list")
        os.kill(unit["pid"], signal.SIGKILL)
        await until_phase(shell, "absent", "backoff")
        told = (await shell.out("why", "u")).splitlines()
        why = await shell.json("why", "u")
    assert re.fullmatch(
        r"u (does not run; the next call starts it|waits before it is started again) "
        r"\(generation 1.*\)\. It last failed: killed by SIGKILL",
        told[0],
    )
    lines = [re.sub(r"\d+\.\d+", "N", line) for line in told]
    assert [
        "Generation 1 is started on request: somebody asked for it",
        f"Generation 1 is ready, after N s: {unit['detail']}",
    ] == [
        re.sub(rf"^{TIME}  ", "", line) for line in lines if re.match(rf"{TIME}  Generation", line)
    ][:2]
    ended = next(number for number, line in enumerate(lines) if "ended by itself" in line)
    assert re.fullmatch(rf"{TIME}  Generation 1 ended by itself: .*SIGKILL", lines[ended])
    assert [
        "    It lived N s, with 0 calls, at most N MiB of memory.",
        "    Its last output:",
        "      loading",
    ] == lines[ended + 1 : ended + 4]
    assert "u" == why["status"]["unit"]
    assert [
        ("starting", "asked", "somebody asked for it"),
        ("ready", "start", unit["detail"]),
        ("exited", "exit", "killed by SIGKILL"),
    ] == [
        (event["kind"], event["trigger"], event["detail"])
        for event in why["events"]
        if event["kind"] != "backoff"
    ]
    crash = next(event["crash"] for event in why["events"] if event["crash"])
    assert (9, None, "loading") == (crash["signal"], crash["code"], crash["output"][0])


async def history(shell: Shell, *kinds: str) -> list[tuple[str, str, str]]:
    """Kind, trigger and evidence of what happened, once the last of the kinds has happened."""
    async with asyncio.timeout(20):
        while True:
            told = (await shell.json("why", "u"))["events"]
            if {event["kind"] for event in told}.issuperset(kinds):
                return [(event["kind"], event["trigger"], event["detail"]) for event in told]


async def test_why_tells_which_call_started_a_unit_and_that_it_was_idle(shell: Shell) -> None:
    toml = (shell.folder / "hsu.toml").read_text()
    (shell.folder / "hsu.toml").write_text(f'{toml}\nidle = "0.1s"\n')
    (shell.folder / "go").touch()
    async with running(shell) as master:
        async with RemoteMaster(master.addresses[0]) as there:
            async for _ in there.client(Kinds).server_stream(Ask()):
                pass
        events = await history(shell, "stopped")
        pid = events[1][2]
        lines = (await shell.out("why", "u")).splitlines()
    call = "a call of hsu.test.v1.Kinds/ServerStream at the gateway"
    assert [
        ("starting", "call", call),
        ("ready", "start", pid),
        ("stopping", "idle", "not called for 0.1 s"),
        ("stopped", "idle", "exit code 0"),
    ] == events
    assert re.fullmatch(r"pid \d+, forked", pid)
    assert [
        "u does not run; the next call starts it (generation 1).",
        f"Generation 1 is started for {call}.",
        f"Generation 1 is ready, after N s: {pid}",
        "Generation 1 is stopped for being idle: not called for 0.1 s",
        "Nothing is left of generation 1, after N s: exit code 0",
    ] == [re.sub(rf"^{TIME}  ", "", re.sub(r"\d+\.\d\d", "N", line)) for line in lines]


async def test_a_method_is_looked_up_in_the_worker_once_and_the_start_says_what_for(
    shell: Shell,
) -> None:
    misspelt = ("call", "hsu.test.v1.Kinds/Unery", "{}")
    refused = "hsu.test.v1.Kinds has no method 'Unery'; did you mean 'Unary'?"
    async with running(shell):
        assert refused == await shell.error(*misspelt, code=2)
        await shell.run("stop", "u")
        assert refused == await shell.error(*misspelt, code=2)
        told = await history(shell, "stopped")
        await shell.out("call", "hsu.test.v1.Kinds/Unary", "{}")
        lines = (await shell.out("why", "u")).splitlines()
    assert ["starting", "ready", "stopping", "stopped"] == [kind for kind, _, _ in told]
    assert [
        "Generation 1 is started for a description of hsu.test.v1.Kinds at the gateway.",
        "Generation 2 is started for a call of hsu.test.v1.Kinds/Unary at the gateway.",
    ] == [re.sub(rf"^{TIME}  ", "", line) for line in lines if " is started " in line]


async def test_why_tells_of_a_breaker_what_opened_it(shell: Shell) -> None:
    toml = (shell.folder / "hsu.toml").read_text()
    (shell.folder / "hsu.toml").write_text(f'{toml}\nbreaker = 2\nbackoff = "1ms"\n')
    (shell.folder / "fail").touch()
    async with running(shell) as master:
        async with RemoteMaster(master.addresses[0]) as there:
            for _ in range(2):
                with pytest.raises(RpcError):
                    await there.client(Kinds).unary(Ask(), timeout=20)
        events = await history(shell, "faulted")
        told = await shell.out("why", "u")
        [unit] = await shell.json("list")
        _, row = (await shell.out("list")).splitlines()
    failed = "its lifespan failed: ValueError: no model"
    assert [("starting", "call"), ("starting", "call")] == [
        event[:2] for event in events if event[0] == "starting"
    ]
    [(_, trigger, evidence)] = [event for event in events if event[0] == "faulted"]
    assert "breaker" == trigger
    assert re.match(rf"it failed 2 times within \d+ s; the last: .*{failed}", evidence)
    assert re.match(
        rf"u failed too often; calls are refused \(generation 2, next try in \d+\.\d s\)\. "
        rf"It last failed: {failed}\n",
        told,
    )
    assert re.search(
        rf"{TIME}  Calls are refused after too many failures: "
        rf"it failed 2 times within \d+ s; the last: {failed}\n",
        told,
    )
    # The worker's output is told once for each start, and not in the sentences.
    assert 2 == told.count("Its last output:")
    assert "faulted" == unit["phase"]
    assert re.fullmatch(
        rf"u     faulted           2      0        0  next try in \d+\.\d s; last failure: {failed}",
        row,
    )


async def test_why_tells_of_a_swap_that_failed_and_of_one_that_did_not(shell: Shell) -> None:
    async with running(shell):
        await shell.run("start", "u")
        await shell.run("swap", "u", "--", "false")
        await shell.run("swap", "u")
        told = (await shell.out("why", "u")).splitlines()
        events = await history(shell, "stopped")
    assert ("swap failed", "swap") in [event[:2] for event in events]
    assert ("stopping", "swap", "generation 3 has taken its place") in events
    sentences = [re.sub(rf"^{TIME}  ", "", line) for line in told]
    exited = "command 'false' ended before it announced itself: exit code 1"
    for expected in (
        "Generation 2 is started beside the one that serves: somebody asked for it",
        f"Generation 2 was refused; the one that serves goes on: {exited}",
        "Generation 3 has taken its place: calls go to generation 3",
        "Generation 1 is stopped for a swap: generation 3 has taken its place",
    ):
        assert expected in sentences


async def test_the_keys_of_json_are_those_of_the_page(shell: Shell) -> None:
    page = (Path(__file__).parent.parent.parent / "docs" / "control.md").read_text()
    rows = dict(re.findall(r"^\| (an event|a crash|a unit|a line) \| (.*) \|$", page, re.MULTILINE))
    keys = {what: set(re.findall("`([a-z_]+)`", row)) for what, row in rows.items()}
    async with running(shell):
        await shell.run("start", "u")
        [unit] = await shell.json("list")
        os.kill(unit["pid"], signal.SIGKILL)
        await history(shell, "exited")
        told = await shell.json("why", "u")
        line = json.loads(await shell.out("logs", "u", "-n", "1", "--json"))
    crash = next(event["crash"] for event in told["events"] if event["crash"])
    assert keys == {
        "a unit": set(unit),
        "an event": set(told["events"][0]),
        "a crash": set(crash),
        "a line": set(line),
    }
    assert set(told["status"]) == set(unit)
