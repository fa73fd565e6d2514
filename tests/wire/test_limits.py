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
@pytest.mark.parametrize("value", [0, -1])
def test_a_limit_is_at_least_one(name: str, value: int) -> None:
    assert 1 == getattr(Limits(**{name: 1}), name)
    with pytest.raises(ValueError, match="must be at least 1") as caught:
        Limits(**{name: value})
    assert f"Limits({name}={value}): must be at least 1" == str(caught.value)
