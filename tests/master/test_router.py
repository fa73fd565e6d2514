import pytest

from hsu_worker.errors import Dispatch, Unimplemented
from hsu_worker.master.config import Config
from hsu_worker.master.nearest import offered
from hsu_worker.master.router import Router

A = "hsu.a.v1.InterfaceA"
B = "hsu.b.v1.InterfaceB"
CORE = "hsu.core.v1.Core"

TEXT = f"""
[units.a1]
app = "m:App"
implements = ["{A}"]
[units.a2]
app = "m:App"
implements = ["{A}", "{B}"]
[routes]
"{A}" = "a2"
"""


def router(text: str = TEXT) -> Router:
    return Router(Config.from_text(text))


def refusal(interface: str, unit: str | None, text: str = TEXT) -> str:
    with pytest.raises(Unimplemented) as caught:
        router(text).unit_for(interface, unit)
    assert Dispatch.NO == caught.value.dispatched
    return caught.value.message


def test_the_only_unit_gets_the_call() -> None:
    assert "a2" == router().unit_for(B, None)


def test_a_route_decides_between_two() -> None:
    assert "a2" == router().unit_for(A, None)
    assert "a1" == router(TEXT.replace('= "a2"', '= "a1"')).unit_for(A, None)


def test_a_named_unit_wins_over_the_route() -> None:
    assert "a1" == router().unit_for(A, "a1")


def test_core_goes_to_the_named_unit() -> None:
    assert "a1" == router().unit_for(CORE, "a1")


def test_core_without_a_unit_is_told_to_name_one() -> None:
    expected = f"every unit has {CORE}; name one in the metadata 'hsu-unit'"
    assert expected == refusal(CORE, None)


def test_an_interface_that_nobody_implements() -> None:
    expected = f"no unit implements hsu.x.X; configured: {A} (a2), {B} (a2)"
    assert expected == refusal("hsu.x.X", None)
    assert "no unit implements hsu.x.X; configured: none" == refusal("hsu.x.X", None, "")


def test_a_unit_that_is_not_configured() -> None:
    assert "there is no unit 'a3'; configured: a1, a2" == refusal(A, "a3")


def test_a_unit_that_does_not_implement_the_interface() -> None:
    expected = f"unit 'a1' does not implement {B}; it implements: {A}"
    assert expected == refusal(B, "a1")


def test_the_interfaces_are_listed_once() -> None:
    assert (A, B) == router().interfaces


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("unit-12x", "did you mean 'unit-12'?"),
        ("other", "configured: " + ", ".join(f"unit-{n}" for n in range(10)) + " and 990 more"),
    ],
)
def test_of_many_units_the_nearest_is_named(name: str, told: str) -> None:
    assert told == offered(name, [f"unit-{number}" for number in range(1000)])
