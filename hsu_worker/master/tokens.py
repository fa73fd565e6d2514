"""Who may talk to the master: its user, and its workers for as long as they live."""

import secrets
from collections.abc import Iterable

from hsu_worker.wire.metadata import presents


class Tokens:
    """The master's own token, which may do everything, and one per instance, for calls only."""

    def __init__(self) -> None:
        self.own = secrets.token_urlsafe(32)
        self._issued: set[str] = set()

    def issue(self) -> str:
        """A token for one instance."""
        token = secrets.token_urlsafe(32)
        self._issued.add(token)
        return token

    def restore(self, token: str) -> None:
        """An instance that got its token from an earlier master lives on."""
        self._issued.add(token)

    def revoke(self, token: str) -> None:
        """The instance has ended, and its token with it."""
        self._issued.discard(token)

    def owns(self, metadata: Iterable[tuple[str, str | bytes]] | None) -> bool:
        """Whether the metadata of a call presents the master's own."""
        return presents(metadata, self.own)

    def may_call(self, metadata: Iterable[tuple[str, str | bytes]] | None) -> bool:
        """Whether the metadata of a call presents any of them. Compares in constant time each."""
        pairs = tuple(metadata or ())
        return any(presents(pairs, token) for token in (self.own, *self._issued))
