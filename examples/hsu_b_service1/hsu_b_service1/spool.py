"""Documents of one stream on their way in: on disk, however long the stream is and however it stalls."""

import asyncio
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from hsu_worker.gen.hsu_b import Document

#: Bytes that wait in memory for the next write.
BATCH = 1 << 20

_LENGTH = struct.Struct("!I")


class Spool:
    """Takes documents one by one and gives them back in the same order, once all are there.

        with Spool(folder) as spool:
            async for request in requests:
                await spool.add(request.document)
            store.write(spool.documents())

    Its file has no name: nothing is left of it when the process dies.
    """

    def __init__(self, folder: Path) -> None:
        # Beside the index: what is spooled is about to be written there, and temporary folders may be memory.
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  closed in __exit__
        self._waiting = bytearray()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    async def add(self, document: Document) -> None:
        data = document.SerializeToString()
        self._waiting += _LENGTH.pack(len(data)) + data
        if len(self._waiting) >= BATCH:
            full, self._waiting = self._waiting, bytearray()
            await asyncio.to_thread(self._file.write, full)

    def documents(self) -> Iterator[Document]:
        self._file.write(self._waiting)
        self._waiting.clear()
        self._file.seek(0)
        while head := self._file.read(_LENGTH.size):
            yield Document.FromString(self._file.read(_LENGTH.unpack(head)[0]))
