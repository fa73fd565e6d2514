"""What the demo prints: tidy in a pipe, with bold type and progress on a terminal."""

import os
import shutil
import sys
import textwrap
import time


class Screen:
    """Prints lines; `progress` overwrites itself, and is silent where nobody watches."""

    def __init__(self) -> None:
        self._is_terminal = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
        self._has_colour = self._is_terminal and not os.environ.get("NO_COLOR")
        self._width = min(shutil.get_terminal_size((100, 24)).columns, 120)
        self._began = time.monotonic()

    def heading(self, text: str) -> None:
        self._line(f"\n{self._styled(1, plain(text))}")

    def line(self, text: str) -> None:
        self._line(f"  {plain(text)}")

    def event(self, unit: str, text: str) -> None:
        """Something that happened to a unit, with the time since the program began."""
        since = time.monotonic() - self._began
        self._line(self._styled(36, f"  {since:6.2f} s  {unit:<10}  {plain(text)}"))

    def entry(self, mark: str, title: str, text: str) -> None:
        """A numbered entry: a title in one line, a text in as many as it takes."""
        if title:
            short = plain(title)[: self._width - len(mark) - 4]
            self._line(f"  {mark}  {self._styled(1, short)}")
            mark = " " * len(mark)
        indent = " " * (len(mark) + 4)
        self._line(textwrap.fill(f"  {mark}  {plain(text)}", self._width, subsequent_indent=indent))

    def progress(self, text: str) -> None:
        if self._is_terminal:
            print(f"\r\x1b[K  {text}", end="", flush=True)

    def _line(self, text: str) -> None:
        # Whatever progress stands in this line is overwritten.
        print(f"\r\x1b[K{text}" if self._is_terminal else text, flush=True)

    def _styled(self, code: int, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._has_colour else text


def plain(text: str) -> str:
    """One line, without what would move the cursor or change the colour of a terminal."""
    return "".join(char if char.isprintable() else " " for char in text)
