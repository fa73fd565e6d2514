"""What units share by their `hsu.toml`: read, compared, and refused where it can't be."""

from pathlib import Path

import pytest

from hsu_worker.errors import ConfigError
from hsu_worker.master.changes import Changes, changes
from hsu_worker.master.config import Config
from hsu_worker.master.residency import Member, Pool, Rules
from hsu_worker.master.sharing import rules

GPU = "[groups.gpu]\nexclusive = true"


def text(*tables: str, **units: str) -> str:
    each = [
        f'[units.{name}]\nimplements = ["a.{name.title()}"]\n'
        + ("" if "register" in lines else 'app = "m:A"\n')
        + lines
        for name, lines in units.items()
    ]
    return "\n".join([*each, *tables])


def read(*tables: str, **units: str) -> Config:
    return Config.from_text(text(*tables, **units))


def mistakes(*tables: str, **units: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(*tables, **units)
    return str(caught.value).splitlines()


def found(config: Config) -> Rules:
    return rules(config.units, config.groups, config.master)


def test_who_shares_what() -> None:
    config = read(
        f'{GPU}\nmin_residency = "2s"\nmax_wait = "9s"',
        '[master]\nmemory = "700MB"',
        a='groups = ["gpu"]\nmemory = "300MB"',
        b="pinned = true",
        c="register = true",
    )
    gpu = Pool(name="gpu", exclusive=True, min_residency=2.0, max_wait=9.0)
    machine = Pool(memory=700_000_000, min_residency=1.0, max_wait=30.0)
    assert Rules(
        pools={"gpu": gpu, "": machine},
        members={
            "a": Member(pools=("gpu", ""), memory=300_000_000),
            "b": Member(pools=("",), pinned=True),
        },
    ) == found(config)


def test_without_a_budget_or_a_group_nothing_is_shared() -> None:
    alone = Rules(members={"a": Member(memory=300_000_000)})
    assert alone == found(read(a='memory = "300MB"', b="register = true"))
    assert () == alone.pools_of("a")


def test_who_needs_whom() -> None:
    needs = found(read(a='depends_on = ["b"]', b='depends_on = ["c"]', c="")).needs
    assert {"a": frozenset("bc"), "b": frozenset("c")} == needs


@pytest.mark.parametrize(
    ("tables", "units", "expected"),
    [
        (
            [GPU],
            {"a": 'groups = ["gpu", "gpuu"]', "b": 'groups = ["disk"]'},
            [
                "units.a.groups: there is no group 'gpuu'; did you mean 'gpu'?",
                "units.b.groups: there is no group 'disk'; write a table [groups.disk]",
            ],
        ),
        (
            ["[groups.gpu]", GPU.replace("gpu", "disk")],
            {"a": 'groups = ["gpu"]'},
            [
                'groups.gpu: it bounds nothing; write exclusive = true, or memory = "8GB"',
                'groups.disk: no unit is in it; write groups = ["disk"] in the table of one',
            ],
        ),
        (
            [f'{GPU}\nmin_residency = "10s"\nmax_wait = "5s"', '[master]\nmax_wait = "5s"'],
            {"a": 'groups = ["gpu"]'},
            ["master.max_wait: does nothing without memory; write that, too, or remove this"],
        ),
        (
            [f'{GPU}\nmin_residency = "10s"\nmax_wait = "5s"'],
            {"a": 'groups = ["gpu"]'},
            [
                (
                    "groups.gpu.min_residency: longer than max_wait, which is 5 s; nobody could be let "
                    "in by then"
                )
            ],
        ),
        (
            [GPU],
            {
                "a": 'groups = ["gpu"]\npinned = true',
                "b": 'groups = ["gpu"]\nprewarm = 1\npreload = true',
                "c": 'groups = ["gpu"]\npreload = true\ndepends_on = ["b"]',
            },
            [
                (
                    "units.c.depends_on: 'b' is in the exclusive group 'gpu', too; they can't be there at "
                    "once"
                ),
                "units.a.pinned: no other unit of the exclusive group 'gpu' could ever run; remove it",
                (
                    "units.b.prewarm: what stands by would be there beside a worker of the exclusive group "
                    "'gpu'; remove it"
                ),
                "groups.gpu: 'b' and 'c' have preload = true, and it has room for one; keep one",
            ],
        ),
        (
            [GPU, '[master]\nmemory = "700MB"'],
            {
                "a": 'groups = ["gpu"]\nconcurrency = 1\nreplicas = 2',
                "b": 'memory = "300MB"\nconcurrency = 1\nreplicas = 3',
                "c": 'memory = "300MB"\nconcurrency = 1\nreplicas = 2',
            },
            [
                "units.a.replicas: the exclusive group 'gpu' has room for one worker; remove it",
                "units.b.replicas: so many take 900 MB, more than the 700 MB of [master]; write fewer",
            ],
        ),
        (
            ['[groups.small]\nmemory = "200MB"', '[master]\nmemory = "700MB"'],
            {
                "a": 'memory = "800MB"',
                "b": 'memory = "300MB"\ngroups = ["small"]',
                "c": 'memory = "500MB"\npinned = true',
                "d": 'memory = "300MB"',
            },
            [
                "units.b.memory: 300 MB are more than the 200 MB of [groups.small]",
                "units.a.memory: 800 MB are more than the 700 MB of [master]",
                (
                    "units.b.memory: 300 MB don't fit into the 700 MB of [master] beside the 500 MB of the "
                    "pinned 'c'"
                ),
                (
                    "units.d.memory: 300 MB don't fit into the 700 MB of [master] beside the 500 MB of the "
                    "pinned 'c'"
                ),
            ],
        ),
        (
            ['[master]\nmemory = "700MB"'],
            {"a": 'memory = "400MB"\npinned = true', "b": 'memory = "400MB"\npinned = true'},
            [
                (
                    "master.memory: the pinned 'a' and 'b' take 800 MB, and it is 700 MB; raise it, or unpin "
                    "one"
                )
            ],
        ),
        (
            ['[master]\nmemory = "700MB"'],
            {
                "a": 'memory = "400MB"\npreload = true',
                "b": 'memory = "400MB"\npreload = true',
                "c": 'memory = "400MB"\ndepends_on = ["b"]',
            },
            [
                "units.c.depends_on: with 'b' it takes 800 MB, and [master] has 700 MB",
                "master.memory: what is preloaded or pinned takes 800 MB, and it is 700 MB; preload less",
            ],
        ),
        (
            ['[master]\nmemory = "700MB"'],
            {
                "a": 'memory = "300MB"\npinned = true\nconcurrency = 1\nreplicas = 2',
                "b": 'memory = "200MB"',
                # It is there in any case.
                "c": 'memory = "100MB"\ndepends_on = ["a"]',
            },
            [
                (
                    "units.b.memory: 200 MB don't fit into the 700 MB of [master] beside the 600 MB of the "
                    "pinned 'a' (2 workers)"
                ),
            ],
        ),
        (
            ['[master]\nmemory = "700MB"'],
            {"a": 'memory = "400MB"\npinned = true\nconcurrency = 1\nreplicas = 2', "b": ""},
            [
                "units.a.replicas: so many take 800 MB, more than the 700 MB of [master]; write fewer"
            ],
        ),
        (
            ['[master]\nmemory = "700MB"'],
            {
                "a": 'memory = "300MB"\npinned = true\nconcurrency = 1\nreplicas = 2',
                "b": 'memory = "200MB"\npinned = true',
            },
            [
                (
                    "master.memory: the pinned 'a' (2 workers) and 'b' take 800 MB, and it is 700 MB; raise "
                    "it, or unpin one"
                )
            ],
        ),
        (
            ['[master]\nmemory = "700MB"'],
            {
                "a": 'memory = "200MB"\ndepends_on = ["b"]',
                "b": 'memory = "200MB"\ndepends_on = ["c"]',
                "c": 'memory = "200MB"\nconcurrency = 1\nreplicas = 3',
                "d": 'memory = "200MB"\npinned = true',
            },
            [
                (
                    "units.a.depends_on: with 'b', 'c' and the pinned 'd' it takes 800 MB, and [master] has "
                    "700 MB"
                ),
                (
                    "units.c.replicas: so many take 600 MB, and beside the pinned 'd' [master] has 500 MB; "
                    "write fewer"
                ),
            ],
        ),
        (
            [GPU, '[groups.small]\nmemory = "300MB"'],
            {
                # It shares nothing itself.
                "a": 'depends_on = ["b", "c"]',
                "b": 'memory = "200MB"\ngroups = ["gpu", "small"]',
                "c": 'memory = "200MB"\ngroups = ["gpu", "small"]',
            },
            [
                (
                    "units.a.depends_on: 'b' and 'c' are in the exclusive group 'gpu'; they can't be there "
                    "at once"
                ),
                "units.a.depends_on: with 'b' and 'c' it takes 400 MB, and [groups.small] has 300 MB",
            ],
        ),
        (
            ['[master]\nmemory = "700MB"'],
            {
                "a": 'memory = "300MB"\npreload = true\ndepends_on = ["b"]',
                "b": 'memory = "300MB"',
                "c": 'memory = "200MB"\npreload = true',
            },
            [
                (
                    "master.memory: what is preloaded or pinned, with 'b', takes 800 MB, and it is 700 MB; "
                    "preload less"
                )
            ],
        ),
        (
            ['[groups.gpu]\nexclusive = "yes"\nmax_wait = "0s"\nsize = 1'],
            {"a": 'groups = ["gpu"]\nidel = "1s"'},
            [
                "units.a.idel: unknown key; did you mean 'idle'?",
                "groups.gpu.size: unknown key; known: exclusive, memory, min_residency, max_wait",
                'groups.gpu.exclusive: expected true or false, got "yes"',
                'groups.gpu.max_wait: expected a duration such as "60s", longer than 0s, got "0s"',
            ],
        ),
        (
            [GPU],
            {"a": 'register = true\ngroups = ["gpu"]\nmemory = "1GB"'},
            [
                (
                    "units.a.groups: does nothing in a unit with 'register', only in one with 'app' or "
                    "'command'; remove it"
                ),
                (
                    "units.a.memory: does nothing in a unit with 'register', only in one with 'app' or "
                    "'command'; remove it"
                ),
            ],
        ),
    ],
)
def test_what_can_not_be_is_told_all_at_once(
    tables: list[str], units: dict[str, str], expected: list[str]
) -> None:
    assert [f"hsu.toml: {line}" for line in expected] == mistakes(*tables, **units)


def test_a_change_of_what_is_shared_needs_no_new_process(tmp_path: Path) -> None:
    a, b = 'groups = ["gpu"]', ""
    old = read(GPU, a=a, b=b)
    assert Changes() == changes(old, read(GPU, a=a, b=b))
    assert Changes(adjusted=("a",)) == changes(old, read(GPU, 'max_wait = "5s"', a=a, b=b))
    assert Changes(adjusted=("a", "b")) == changes(
        old, read(GPU, '[master]\nmemory = "1GB"', a=a, b=b)
    )
    assert Changes(adjusted=("b",)) == changes(old, read(GPU, a=a, b='memory = "1GB"'))
