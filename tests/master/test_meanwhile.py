"""Calls that come while a worker leaves by itself: none is lost, and none runs twice."""

import asyncio
import os
import signal
from pathlib import Path

from tests.gen.hsu_test_kinds import Ask
from tests.master.running import Running, app, processes_in, running, text
from tests.until import until

SLOW = """
async def unary(self, request):
    with open("ran", "a") as ran:
        ran.write(request.text + "\\n")
    if request.text == "long":
        while not Path("go").exists():
            await asyncio.sleep(0.005)
    return Answer(text=request.text, number=os.getpid())
"""


def ran(folder: Path) -> list[str]:
    return (folder / "ran").read_text().split() if (folder / "ran").exists() else []


async def call(it: Running, name: str) -> tuple[str, int]:
    answer = await it.kinds.unary(Ask(text=name), timeout=30)
    return answer.text, answer.number


async def test_a_sigterm_of_an_outsider_lets_calls_end_and_loses_none(tmp_path: Path) -> None:
    async with running(tmp_path, text(app(tmp_path, SLOW))) as it:
        long = asyncio.create_task(call(it, "long"))
        await until(lambda: ran(tmp_path))
        (first,) = processes_in(tmp_path)
        os.kill(first, signal.SIGTERM)
        await until(lambda: any("leaving: SIGTERM" in line.text for line in it.master.log("u")))
        names = [f"call-{n}" for n in range(20)]
        meanwhile = [asyncio.create_task(call(it, name)) for name in names]
        # The worker has refused them; they wait for the next one.
        await until(lambda: len(names) == it.master.status()["u"].waiters)
        (tmp_path / "go").touch()
        assert ("long", first) == await long
        answers = await asyncio.gather(*meanwhile)

    assert names == [text for text, _ in answers]
    (second,) = {pid for _, pid in answers}
    assert first != second
    assert ["long", *names] == sorted(ran(tmp_path), key=["long", *names].index)
