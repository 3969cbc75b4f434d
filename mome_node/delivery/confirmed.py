"""What is known of a study's deliveries, in words that claim no more."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from mome_node.catalog.records import DeliveryRecord, DeliveryState

HOW: Final = {
    DeliveryState.ACCEPTED: "accepted, no more is known",
    DeliveryState.FOUND: "listed there",
    DeliveryState.COMMITTED: "by storage commitment",
}
"""How it is known that a destination has something; what says least comes first."""


def confirmation_words(delivery: DeliveryRecord) -> str:
    """How it is known that the destination has one result; "" where it is not."""
    words = HOW.get(delivery.state, "")
    if delivery.state is DeliveryState.COMMITTED and delivery.transaction_uid:
        return f"{words} {delivery.transaction_uid}"
    return words


def delivered_words(deliveries: Iterable[DeliveryRecord]) -> str:
    """Say what is known of results that all are at their destinations, or held in the node.

    Of each destination the weakest that holds for one of the results.
    """
    by_destination: dict[str, set[DeliveryState]] = {}
    for delivery in deliveries:
        by_destination.setdefault(delivery.destination, set()).add(delivery.state)
    there = [
        f"{name} {next(words for state, words in HOW.items() if state in states)}"
        for name, states in by_destination.items()
        if states & HOW.keys()
    ]
    held = [name for name, states in by_destination.items() if DeliveryState.HELD in states]
    parts = [f"all destinations have it: {', '.join(there)}"] if there else []
    parts += [f"kept in the node, held back from {', '.join(held)}"] if held else []
    return "; ".join(parts) or "kept here: no destination was set"


def refused_words(deliveries: Iterable[DeliveryRecord]) -> str:
    """Say what waits for a person, with one of its reasons for each destination."""
    reasons: dict[tuple[str, DeliveryState], str] = {}
    for delivery in deliveries:
        if delivery.state.needs_a_person:
            reasons.setdefault((delivery.destination, delivery.state), delivery.last_error)
    return "; ".join(f"{name}, {state}: {why}" for (name, state), why in reasons.items())
