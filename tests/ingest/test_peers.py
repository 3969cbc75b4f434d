"""Who is let in, by title and by address, network or name; and how many at a time."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mome_node.ingest.host_names import FAILURE_GOOD_FOR_S, GOOD_FOR_S, HostNames
from mome_node.ingest.log_rate import LogRate
from mome_node.ingest.peers import Admission, AllowedPeer, Places


class Names:
    """A name service that can fail, and counts how often it is asked."""

    def __init__(self, **known: str) -> None:
        self.known = known
        self.asked = 0

    def __call__(self, name: str) -> frozenset[str]:
        self.asked += 1
        if name not in self.known:
            raise OSError("Name or service not known")
        return frozenset({self.known[name]})


@pytest.mark.parametrize(
    ("host", "address", "is_there"),
    [
        ("10.0.0.5", "10.0.0.5", True),
        ("10.0.0.5", "::ffff:10.0.0.5", True),
        ("10.0.0.5", "10.0.0.6", False),
        ("10.1.2.0/24", "10.1.2.255", True),
        ("10.1.2.0/24", "::ffff:10.1.2.7", True),
        ("10.1.2.0/24", "10.1.3.0", False),
        ("::ffff:10.1.2.0/120", "10.1.2.9", True),
        ("2001:db8::/32", "2001:db8:1::5", True),
        ("2001:db8::/32", "2001:db9::5", False),
        ("2001:db8::/32", "10.0.0.5", False),
        ("fe80::1", "fe80::1%eth0", True),
        ("0.0.0.0/0", "203.0.113.9", True),
    ],
)
def test_a_peer_is_known_by_address_or_network(host: str, address: str, is_there: bool) -> None:
    admission = Admission((AllowedPeer("PACS", host),))
    assert admission.admits("PACS", address) is is_there
    assert not admission.admits("OTHER", address)


@given(st.ip_addresses(v=4), st.integers(0, 32))
def test_a_network_holds_exactly_the_addresses_with_its_first_bits(address, length) -> None:
    first, shift = int(address), 32 - length
    network = f"{type(address)(first >> shift << shift)}/{length}"
    admission = Admission((AllowedPeer("PACS", network),))
    assert admission.admits("PACS", str(address))
    if length:
        outside = type(address)(first ^ (1 << shift))
        assert admission.admits("PACS", str(outside)) is outside.is_loopback


def test_a_name_is_resolved_once_in_a_while() -> None:
    service, now = Names(pacs="10.0.0.5"), [0.0]
    names = HostNames(service, lambda: now[0])
    admission = Admission((AllowedPeer("PACS", "pacs"),), names=names)
    assert admission.admits("PACS", "10.0.0.5")
    assert not admission.admits("PACS", "10.0.0.6")
    assert service.asked == 1
    service.known["pacs"] = "10.0.0.6"
    now[0] += GOOD_FOR_S
    assert admission.admits("PACS", "10.0.0.6")
    assert not admission.admits("PACS", "10.0.0.5")
    assert service.asked == 2


def test_no_name_is_resolved_for_a_stranger() -> None:
    service = Names(pacs="10.0.0.5")
    admission = Admission((AllowedPeer("PACS", "pacs"),), names=HostNames(service))
    assert not admission.admits("STRANGER", "10.0.0.5")
    assert service.asked == 0


def test_an_outage_of_the_name_service_keeps_nobody_out_who_was_let_in() -> None:
    service, now = Names(pacs="10.0.0.5"), [0.0]
    names = HostNames(service, lambda: now[0])
    assert names.addresses("pacs") == {"10.0.0.5"}
    del service.known["pacs"]
    now[0] += GOOD_FOR_S
    assert names.addresses("pacs") == {"10.0.0.5"}
    assert names.addresses("pacs") == {"10.0.0.5"}
    assert service.asked == 2
    service.known["pacs"] = "10.0.0.7"
    now[0] += FAILURE_GOOD_FOR_S
    assert names.addresses("pacs") == {"10.0.0.7"}


def test_an_unknown_name_lets_nobody_in() -> None:
    admission = Admission((AllowedPeer("PACS", "pacs"),), names=HostNames(Names()))
    assert not admission.admits("PACS", "10.0.0.5")


def test_a_name_service_that_hangs_is_asked_once_and_waited_for_briefly() -> None:
    may_answer, asked = threading.Event(), []

    def hang(name: str) -> frozenset[str]:
        asked.append(name)
        assert may_answer.wait(30)
        return frozenset({"10.0.0.5"})

    names = HostNames(hang, wait_s=0.01)
    assert names.addresses("pacs") == frozenset()
    assert names.addresses("pacs") == frozenset()
    assert asked == ["pacs"]
    may_answer.set()


@dataclass
class Association:
    """An association as far as its place goes."""

    is_released: bool = False
    is_aborted: bool = False
    runs: bool = True

    def is_alive(self) -> bool:
        return self.runs


def test_places_are_counted_for_all_and_for_each_peer() -> None:
    places = Places(3, {"GREEDY": 1})
    assert places.take("GREEDY", Association()) is None
    assert "max_associations of its own" in str(places.take("GREEDY ", Association()))
    assert places.take("A", Association()) is None
    assert places.take("B", Association()) is None
    assert places.take("C", Association()) == "dicom.max_associations are open"


@pytest.mark.parametrize("end", ["is_released", "is_aborted", "runs"])
def test_a_place_is_free_again_however_its_association_ended(end: str) -> None:
    places, association = Places(1), Association()
    assert places.take("PACS", association) is None
    assert places.take("PACS", Association()) is not None
    setattr(association, end, end != "runs")
    assert places.take("PACS", Association()) is None


@given(st.lists(st.tuples(st.sampled_from("ABC"), st.booleans()), max_size=60))
def test_never_more_are_open_than_there_are_places(steps) -> None:
    places, limits = Places(4, {"A": 2}), {"A": 2, "B": 4, "C": 4}
    opened: list[tuple[str, Association]] = []
    for title, opens in steps:
        if opens:
            of_this = sum(t == title for t, _ in opened)
            there_is_one = len(opened) < 4 and of_this < limits[title]
            association = Association()
            assert (places.take(title, association) is None) is there_is_one
            if there_is_one:
                opened.append((title, association))
        elif opened:
            opened.pop()[1].is_released = True


def test_strangers_cannot_fill_the_log() -> None:
    now = [0.0]
    rate = LogRate(60.0, lambda: now[0])
    assert rate.due("10.0.0.9") == 0
    assert [rate.due("10.0.0.9") for _ in range(5)] == [None] * 5
    said = [rate.due(f"10.0.{n // 256}.{n % 256}") for n in range(5000)]
    assert sum(line is not None for line in said) <= 256
    now[0] = 60.0
    left_out = rate.due("10.0.0.9")
    assert left_out is not None
    assert left_out > 4700
