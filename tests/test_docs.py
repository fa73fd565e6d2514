"""Every block of every page runs, and every link leads somewhere."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.page import Block, blocks, commands, shows

ROOT = Path(__file__).parent.parent
PAGES = [
    path for where in ("*.md", "docs/*.md", "examples/*/*.md") for path in sorted(ROOT.glob(where))
]

#: Blocks that no page runs, by page and language, and why. `text` is what somebody sees, or a drawing.
NOT_RUN = {
    ("docs/conformance.md", "yaml"): "a step for a CI service",
    ("docs/go-plugin.md", "go"): "examples/go/plugin_host makes the same call",
    ("docs/launch-contract.md", "abnf"): "a grammar; the vectors below it are tested",
    ("docs/launch-contract.md", "proto"): "tests/test_launch_contract.py compiles them",
    ("docs/serving.md", "dockerfile"): "an image needs a builder of images",
    ("docs/serving.md", "ini"): "a unit of systemd needs systemd",
}

_SVG = "{http://www.w3.org/2000/svg}"
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def anchors(page: Path) -> set[str]:
    """What links may name in a page, made of its headings as the usual viewers do."""
    headings = re.findall(r"^#+ (.*)$", _FENCED.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def run(page: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    # Where the page's commands look for a running master, there is no other one.
    with tempfile.TemporaryDirectory(prefix="hsu-t-") as runtime:
        return subprocess.run(
            [sys.executable, "-W", "error", ROOT / "tests" / "page.py", page],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=folder,
            env={**os.environ, "XDG_RUNTIME_DIR": runtime, "TMPDIR": runtime},
            check=False,
        )


@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", PAGES, ids=name)
def test_the_blocks_of_a_page_run(page: Path, tmp_path: Path) -> None:
    ran = run(page, tmp_path)
    assert ran.returncode == 0, ran.stdout


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    broken = []
    for link in _LINK.findall(_FENCED.sub("", page.read_text())):
        if link.startswith(("https://", "mailto:")):
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert [] == broken


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text()
    linked = {link.partition("#")[0] for link in _LINK.findall(index)}
    assert {page.name for page in ROOT.glob("docs/*.md")} - {"README.md"} <= linked


def test_blocks_that_do_not_run_are_listed() -> None:
    run_or_seen = ("python", "console", "toml", "json", "text")
    left_alone = {
        (name(page), block.language)
        for page in PAGES
        for block in blocks(page.read_text())
        if not block.file and block.language not in run_or_seen
    }
    assert set(NOT_RUN) == left_alone


def test_the_picture_holds_its_words_as_text_and_is_readable_in_the_dark() -> None:
    text = (ROOT / "docs" / "architecture.svg").read_text()
    words = {each.text for each in ElementTree.fromstring(text).iter(f"{_SVG}text")}
    assert {"master", "gateway", "keeper", "template", "worker, forked", "other clients"} <= words
    style, _, shapes = text.partition("</style>")
    assert "prefers-color-scheme: dark" in style
    assert [] == re.findall(r"#[0-9a-f]{3,6}\b", shapes)


def test_every_mistake_is_in_the_table_and_shown() -> None:
    page = ROOT / "docs" / "mistakes.md"
    table, _, sections = page.read_text().partition("\n## ")
    told = [rows for rows in table.splitlines() if rows.startswith("| [")]
    shown = re.findall(r"^### (.*)$", _FENCED.sub("", sections), re.MULTILINE)
    assert len(told) >= 20
    assert {f"#{re.sub(r'[^a-z0-9 -]', '', each.lower()).replace(' ', '-')}" for each in shown} == {
        link for row in told for link in _LINK.findall(row)
    }


def test_blocks_are_found_with_language_line_and_file() -> None:
    page = "# A\n\n```python\nx = 1\n```\n\n<!-- file: a/b.toml -->\n```toml\n[a]\n```\n"
    assert [
        Block(language="python", text="x = 1\n", line=4),
        Block(language="toml", text="[a]\n", line=9, file="a/b.toml"),
    ] == blocks(page)


def test_commands_come_with_the_output_that_is_shown() -> None:
    block = Block(language="console", text="$ one \\\n  more\nout 1\n\n$ two &\n", line=1)
    assert [("one    more", ["out 1"]), ("two &", [])] == list(commands(block))


@pytest.mark.parametrize(
    ("lines", "shown"),
    [
        ([], True),
        (["started a in ... ms"], True),
        (["started a in ... ms", "done"], True),
        (["done", "started a in ... ms"], False),
        (["one"], False),
    ],
)
def test_shown_output_is_compared_line_by_line(lines: list[str], shown: bool) -> None:
    assert shown == shows("started a in 12 ms\nmore\ndone\n", lines)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("```python\nx = 1\n```\n\n```python\nassert x == 2\n```\n", 'page.md", line 6'),
        ("```python\nimport asyncio\nawait asyncio.sleep(0, 1 / 0)\n```\n", "ZeroDivisionError"),
        ("```console\n$ false\n```\n", "exit code 1: false"),
        ("```console\n$ echo one\ntwo\n```\n", "the page shows:\ntwo"),
        ("```console\n$ false &\n```\n", "ended without a word: false"),
        ("```toml\na = \n```\n", "TOMLDecodeError"),
    ],
)
def test_a_page_that_is_wrong_fails(tmp_path: Path, text: str, reason: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    ran = run(page, tmp_path)
    assert ran.returncode != 0
    assert reason in ran.stdout


def test_files_commands_and_code_of_a_page_see_each_other(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- file: box/thing.py -->\n```python\nVALUE = 3\n```\n"
        "```console\n$ cd box\n$ cat thing.py\nVALUE = ...\n$ tail -f thing.py &\n```\n"
        "```python\nfrom box.thing import VALUE\nassert VALUE == 3\n```\n"
    )
    ran = run(page, tmp_path)
    assert ran.returncode == 0, ran.stdout
