"""Data sets that no sound sender makes: each is stored whole or refused, and nothing is left."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mome_node.ingest.outcome import Status
from tests.fuzz.corpus import Seed, file_seeds, phantom_seeds
from tests.fuzz.datasets import fuzzed_data_set
from tests.fuzz.elements import encode, parse
from tests.fuzz.receipt_target import FuzzedNode, fuzzed_node, receive
from tests.fuzz.watch import resident_mb, watching

EXAMPLES = 1_500  # with those of test_fuzzed_conversations.py: the 2,000 of `make test`
LONG = 150_000  # and the 200,000 of `make prove`
SEED = 6
BATCH = 1_000
GROWTH_MB = 60.0


@pytest.fixture(scope="module")
def seeds() -> tuple[Seed, ...]:
    with tempfile.TemporaryDirectory() as folder:
        return file_seeds() + phantom_seeds(Path(folder))


@pytest.fixture(scope="module")
def node() -> Iterator[FuzzedNode]:
    with fuzzed_node() as node, watching() as watch:
        yield node
        assert watch.findings == []


def test_seeds_are_many_and_trees_of_them_encode_to_the_same_bytes(seeds):
    trees = [seed for seed in seeds if seed.elements]
    assert len(trees) > 150
    assert len({seed.transfer_syntax_uid for seed in seeds}) >= 10
    for seed in trees:
        assert encode(parse(seed.data, seed.coding), seed.coding) == seed.data, seed.name


@settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
@given(random=st.randoms(use_true_random=False))
def test_any_data_set_is_stored_whole_and_readable_or_refused_with_a_reason(node, seeds, random):
    receive(node, fuzzed_data_set(random, seeds))


def test_same_number_makes_the_same_data_set(seeds):
    one, again = (fuzzed_data_set(Random(f"{SEED}/1"), seeds) for _ in range(2))
    assert one == again


@pytest.mark.long
def test_a_great_many_data_sets_leave_nothing_and_take_no_memory(seeds, record_property):
    stored = refused = 0
    with watching() as watch:
        resident = 0.0
        for begin in range(0, LONG, BATCH):
            with fuzzed_node() as node:
                for number in range(begin, begin + BATCH):
                    fuzzed = fuzzed_data_set(Random(f"{SEED}/{number}"), seeds)
                    try:
                        outcome = receive(node, fuzzed)
                    except Exception as error:
                        told = f"data set {SEED}/{number} ({', '.join(fuzzed.made)})"
                        raise AssertionError(told) from error
                    stored += outcome.status is Status.SUCCESS
                    refused += outcome.status is not Status.SUCCESS
                assert {r.key for r in node.records()} == node.keys()
            assert watch.findings == []
            if begin == 4 * BATCH:
                resident = resident_mb()
        growth = resident_mb() - resident
    record_property("stored", stored)
    record_property("refused", refused)
    record_property("growth_mb", round(growth, 1))
    assert growth < GROWTH_MB
    assert min(stored, refused) > LONG // 10
