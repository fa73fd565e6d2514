import grpc.aio
import pytest

from hsu_worker.wire.address import Address
from hsu_worker.wire.connection import Connection
from hsu_worker.wire.metadata import Metadata, bearer, presents


def test_a_token_is_presented_as_a_bearer() -> None:
    assert (("authorization", "Bearer s3cret"),) == bearer("s3cret")
    assert () == bearer("")


@pytest.mark.parametrize(
    ("metadata", "is_let_in"),
    [
        (bearer("s3cret"), True),
        ((("k", "v"), *bearer("s3cret"), ("k2", b"v")), True),
        ((("authorization", b"Bearer s3cret"),), True),
        ((), False),
        (None, False),
        (bearer("S3cret"), False),
        (bearer("s3cret "), False),
        (bearer("s3cre"), False),
        (bearer("s3cretä"), False),
        ((("authorization", "s3cret"),), False),
        ((("authorization", "Basic s3cret"),), False),
        ((("authorization", "Bearer"),), False),
        ((*bearer("s3cret"), *bearer("s3cret")), False),
        ((*bearer("wrong"), *bearer("s3cret")), False),
        ((("x-authorization", "Bearer s3cret"),), False),
    ],
)
def test_exactly_the_token_lets_in(metadata: Metadata | None, is_let_in: bool) -> None:
    assert is_let_in is presents(metadata, "s3cret")


@pytest.mark.parametrize("metadata", [(), bearer(""), (("authorization", "Bearer "),)])
def test_nothing_presents_an_empty_token(metadata: Metadata) -> None:
    assert not presents(metadata, "")


async def test_a_connection_does_not_show_its_token() -> None:
    connection = Connection.open(Address.parse("tcp:127.0.0.1:1"), token="s3cret")
    assert "s3cret" not in repr(connection)
    assert "s3cret" in str(connection.metadata)
    assert isinstance(connection.channel, grpc.aio.Channel)
    await connection.close()
