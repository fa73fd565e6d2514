from typing import Any

import pytest

from hsu_worker import Limits


def test_the_defaults_are_those_of_the_contract() -> None:
    limits = Limits()
    assert (4 << 20, 16 << 10, 64 << 10, 100, 8) == (
        limits.message_bytes,
        limits.metadata_bytes,
        limits.log_line_bytes,
        limits.concurrent_calls,
        limits.threads,
    )


@pytest.mark.parametrize("name", Limits.__dataclass_fields__)
@pytest.mark.parametrize("value", [0, -1, 1 << 31, 1.5, True, "4MiB"])
def test_a_limit_is_a_number_that_grpc_can_take(name: str, value: Any) -> None:
    assert 1 == getattr(Limits(**{name: 1}), name)
    with pytest.raises(ValueError, match="must be a whole number") as caught:
        Limits(**{name: value})
    expected = f"Limits({name}={value!r}): must be a whole number, 1 to 2147483647"
    assert expected == str(caught.value)
