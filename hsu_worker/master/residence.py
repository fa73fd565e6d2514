"""What a worker has to do with the room that it shares with those of other units."""

from hsu_worker.errors import StartError


class Residence:
    """Of a worker that shares nothing: it may start at once."""

    alone = False
    """Its start ran out of memory, and is tried once more without all others."""

    async def enter(self) -> None:
        """Wait until it may start.

        Raises:
            StartError: It can never start, as things are.
        """

    def ready(self) -> None:
        """It takes calls."""

    def weigh(self) -> None:
        """Look how much memory it has."""

    def failed(self, error: StartError) -> tuple[StartError, str]:
        """Its start has failed; returns what to tell, and why it is to be tried once more, if it is."""
        return error, ""

    def left(self, peak: int) -> None:
        """Nothing is left of it, and it had so many bytes at the most; 0 is unknown."""
