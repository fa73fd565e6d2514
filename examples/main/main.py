"""A main process: it calls two HSUs, which start when they are called and stop when they aren't.

    python main.py                                   # the documentation that this machine has
    python main.py ~/notes --query "flour water"     # the text files of a folder

It indexes the documents (interface B), searches them, and summarises the best hits (interface A).
"""

import argparse
import asyncio
import hashlib
import logging
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import collect
from screen import Screen, plain
from watch import StillThere, Watch

from hsu_worker import HsuError, InvalidArgument
from hsu_worker.errors import StartError
from hsu_worker.gen.hsu_a import InterfaceA, InterfaceAClient, SummarizeRequest
from hsu_worker.gen.hsu_b import (
    Document,
    GetStatsRequest,
    IngestRequest,
    InterfaceB,
    InterfaceBClient,
    SearchRequest,
    SearchResponse,
)
from hsu_worker.master import Master

HERE = Path(__file__).resolve().parent

#: What to look for in the documentation that this machine has.
DEFAULT_QUERY = "start a worker process and wait until it stops"

#: Hits whose texts are summarised, and characters of each: the summarizer takes 2,000 sentences.
SUMMARISED = 3
MAX_TEXT = 50_000


class IndexUnusable(Exception):
    """The index can't be opened. The message says why, and which file it is."""


async def run(options: argparse.Namespace, documents: list[Document], screen: Screen) -> None:
    query = options.query or (collect.typical_words(documents) if options.folder else DEFAULT_QUERY)
    path = index_path(options.state, options.folder, documents)
    os.environ["HSU_B_INDEX"] = str(path)
    watch = Watch(screen)
    async with Master.from_file(HERE / "hsu.toml", on_event=watch.take) as master:
        index = master.client(InterfaceB)
        try:
            await fill(index, documents, screen)
        except StartError as error:
            raise IndexUnusable(
                f"{error.message}\n\nThis program sets HSU_B_INDEX itself. If the index is broken, "
                f"delete {path}: it is made again. --state keeps it elsewhere."
            ) from error
        hits = await search(index, query, options.hits, screen)
        await summarise(master.client(InterfaceA), hits, options.sentences, screen)
        screen.heading("Waiting until nobody needs them")
        await watch.until_all_stopped()
    watch.check_that_nothing_is_left()


def gather(folder: Path | None, screen: Screen) -> list[Document]:
    """The documents to index."""
    screen.heading(f"Documents of {folder or 'this project, its packages and Python'}")
    if folder is None:
        documents = collect.from_environment(screen.line)
    else:
        documents = collect.from_folder(folder, screen.line)
    size = sum(len(document.text.encode()) for document in documents)
    screen.line(f"{_count(documents)}, {size / 1e6:.1f} MB")
    return documents


def _count(documents: list[Document]) -> str:
    return f"{len(documents)} document{'' if len(documents) == 1 else 's'}"


def index_path(state: Path, folder: Path | None, documents: list[Document]) -> Path:
    """Where the index of these documents is.

    Documents can't be taken out of an index, so a folder that has lost some gets a new one.
    """
    home = state.resolve() / _short_hash([str(folder.resolve()) if folder else ""])
    mine = home / _short_hash(sorted(document.id for document in documents))
    mine.mkdir(parents=True, exist_ok=True)
    for old in home.iterdir():
        if old != mine:
            shutil.rmtree(old)
    return mine / "index.sqlite3"


def _short_hash(parts: list[str]) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:16]


async def fill(index: InterfaceBClient, documents: list[Document], screen: Screen) -> None:
    """Bring the documents into the index, unless just these are there."""
    screen.heading("Index")
    if (await index.get_stats(GetStatsRequest())).digest == collect.digest(documents):
        screen.line(f"{_count(documents)} in the index already: nothing to ingest")
        return

    def requests() -> Iterator[IngestRequest]:
        for count, document in enumerate(documents, start=1):
            screen.progress(f"ingesting {count}/{len(documents)}")
            yield IngestRequest(document=document)

    reply = await index.ingest(requests())
    screen.line(
        f"ingested: {reply.added} added, {reply.replaced} replaced, {reply.unchanged} unchanged"
    )


async def search(
    index: InterfaceBClient, query: str, limit: int, screen: Screen
) -> list[SearchResponse]:
    """Print the hits as they come."""
    screen.heading(f"Search: {query}")
    hits: list[SearchResponse] = []
    async for hit in index.search(SearchRequest(query=query, limit=limit)):
        screen.entry(f"{hit.rank:2}", f"{hit.id}  {hit.score:.2f}", f"{hit.title}: {hit.snippet}")
        hits.append(hit)
    if not hits:
        screen.line("no document has any of these words")
    return hits


async def summarise(
    summarizer: InterfaceAClient, hits: list[SearchResponse], sentences: int, screen: Screen
) -> None:
    """Print the best sentences of the best hits, best first. Without hits nothing is called."""
    if not hits:
        return
    best = hits[:SUMMARISED]
    screen.heading("Summary of " + ", ".join(hit.id for hit in best))
    text = "\n\n".join(hit.text[:MAX_TEXT] for hit in best)
    request = SummarizeRequest(text=text, sentences=sentences)
    try:
        async for chunk in summarizer.stream_summary(request):
            screen.entry(f"{chunk.rank:2}", "", chunk.text)
    except InvalidArgument as refused:
        screen.line(f"no summary: {refused.message}")


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Index documents, search them, summarise.")
    parser.add_argument("folder", nargs="?", type=Path, help="text files to index")
    parser.add_argument("-q", "--query", type=text, help="words to look for")
    parser.add_argument(
        "--state", type=Path, default=HERE / ".state", metavar="FOLDER", help="where indexes stay"
    )
    parser.add_argument("--hits", type=int, default=5, metavar="N", help="default: 5")
    parser.add_argument("--sentences", type=int, default=4, metavar="N", help="default: 4")
    options = parser.parse_args(arguments)
    for name in ("hits", "sentences"):
        if not 1 <= getattr(options, name) <= 100:
            parser.error(f"--{name} must be from 1 to 100")
    return options


def text(argument: str) -> str:
    """What can be sent: a command line may hold any bytes."""
    try:
        argument.encode()
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError("not UTF-8") from None
    return argument


def main() -> int:
    options = parse(sys.argv[1:])
    # The screen tells what happens to the units.
    logging.getLogger("hsu_worker").addHandler(logging.NullHandler())
    screen = Screen()
    try:
        # Outside the loop, where Ctrl-C ends it at once.
        documents = gather(options.folder, screen)
        asyncio.run(run(options, documents, screen))
    except (collect.NothingToIndex, IndexUnusable, StillThere, HsuError, OSError) as error:
        print(*map(plain, f"error: {error}".split("\n")), sep="\n", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
