"""What a server tells of itself, asked by v1 or by v1alpha."""

import pytest

from hsu_worker.errors import Internal, Unauthenticated, Unimplemented
from hsu_worker.wire.reflected import V1, V1ALPHA, Reflected, add_files, pool_of
from tests.master.gated import worker
from tests.wire.describing import FILES, Describing


@pytest.mark.parametrize("version", [V1, V1ALPHA])
async def test_names_and_files_are_told_whatever_the_version(version: str) -> None:
    async with worker(Describing(version)) as connection:
        reflected = Reflected(connection)
        assert ["a.A", "odd.v1.Odd"] == await reflected.names(timeout=20)
        files = await reflected.files(["odd.v1.Odd", "no.such.Thing"], timeout=20)

    # The one that it imports was asked for.
    assert FILES == files
    method = pool_of(files).FindServiceByName("odd.v1.Odd").methods_by_name["Get"]
    assert "odd.v1.Part" == method.input_type.full_name


async def test_nothing_is_told_of_what_is_not_known() -> None:
    async with worker(Describing(V1)) as connection:
        assert {} == await Reflected(connection).files(["no.such.Thing"])


async def test_a_server_without_reflection_is_told() -> None:
    async with worker() as connection:
        with pytest.raises(Unimplemented):
            await Reflected(connection).names()


async def test_what_reflection_itself_fails_with_is_raised() -> None:
    async with worker(Describing(V1, code=16)) as connection:
        with pytest.raises(Unauthenticated) as raised:
            await Reflected(connection).files(["no.such.Thing"])

    assert "UNAUTHENTICATED:  is not known" == str(raised.value)


async def test_files_that_are_not_complete_make_no_pool() -> None:
    async with worker(Describing(V1, complete=False)) as connection:
        files = await Reflected(connection).files(["odd.v1.Odd"])

    with pytest.raises(Internal) as raised:
        pool_of(files)
    assert "what its reflection tells is incomplete: 'parts.proto'" == raised.value.message


def test_files_are_added_to_a_pool_once() -> None:
    pool = pool_of(FILES)
    add_files(pool, FILES)
    assert "odd.v1.Part" == pool.FindMessageTypeByName("odd.v1.Part").full_name
