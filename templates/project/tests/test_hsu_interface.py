"""HsuInterface: called directly, over the wire, and through a master."""

import asyncio
from pathlib import Path

import pytest
from hsu_worker import InvalidArgument
from hsu_worker.master import BlockingMaster
from hsu_worker.testing import running_blocking

from hsu_template.gen.hsu_template_hsu_interface import (
    CountRequest,
    HsuInterface,
    RankRequest,
)
from hsu_template.hsu_interface import HsuInterfaceService

HSU_TOML = Path(__file__).parents[1] / "hsu.toml"


def test_common_words_do_not_count() -> None:
    service = HsuInterfaceService()
    service.common = frozenset({"the", "and"})
    response = asyncio.run(service.count(CountRequest(text="The cat and the hat")))
    assert response.words == 2


def test_the_most_frequent_word_comes_first() -> None:
    with running_blocking(HsuInterfaceService()) as worker:
        client = worker.client(HsuInterface)
        ranked = client.rank(RankRequest(text="one hat, two cat cat"), timeout=10)
        assert [response.word for response in ranked] == ["cat", "one", "hat", "two"]


def test_a_text_without_words_is_refused() -> None:
    with running_blocking(HsuInterfaceService()) as worker:
        client = worker.client(HsuInterface)
        with pytest.raises(InvalidArgument, match="no word that counts"):
            client.count(CountRequest(text="the"), timeout=10)


def test_a_master_starts_the_worker_with_the_first_call() -> None:
    with BlockingMaster.from_file(HSU_TOML) as master:
        client = master.client(HsuInterface)
        assert client.count(CountRequest(text="The cat and the hat"), timeout=30).words == 2
        assert master.status()["hsu-template"].generation == 1
