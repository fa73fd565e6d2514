"""Rows of text, one below the other."""

from collections.abc import Collection, Iterator, Sequence


def table(rows: Sequence[Sequence[str]], numbers: Collection[int]) -> Iterator[str]:
    """The lines of a table.

    Args:
        rows: Cells; the first row names the columns.

        numbers: The columns whose cells end below each other.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (
            cell.rjust(width) if number in numbers else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join(cells).rstrip()
