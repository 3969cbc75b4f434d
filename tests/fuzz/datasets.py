"""Data sets as no sound sender makes them, each told by its seed and its number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from mome_node.dicom.classes import decodable_transfer_syntaxes
from mome_node.storage.store import InstanceIdentity
from tests.fuzz.byte_changes import change_bytes, deflated
from tests.fuzz.corpus import Seed
from tests.fuzz.element_changes import change_elements
from tests.fuzz.elements import Coding, encode

_NATIVE = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian)


@dataclass(frozen=True, slots=True)
class FuzzedDataSet:
    """What is announced, the bytes that come, and how they came to be."""

    identity: InstanceIdentity
    data: bytes
    made: tuple[str, ...]


def fuzzed_data_set(random: Random, seeds: Sequence[Seed]) -> FuzzedDataSet:
    """Take a seed and change it, in one of the transfer syntaxes that are accepted."""
    seed = random.choice(seeds)
    syntax = _transfer_syntax(random, seed)
    made = [seed.name, UID(syntax).name]
    data = _encoded(random, seed, UID(syntax), made) if seed.elements else seed.data
    for _ in range(random.choice((0, 0, 0, 0, 0, 1, 3) if seed.elements else (0, 1, 3))):
        data, what = change_bytes(random, data)
        made.append(what)
    return FuzzedDataSet(_announced(random, seed, syntax), data, tuple(made))


def _encoded(random: Random, seed: Seed, syntax: UID, made: list[str]) -> bytes:
    elements = seed.elements
    for _ in range(random.choice((0, 1, 1, 1, 1, 2, 2, 3))):
        elements, what = change_elements(random, elements)
        made.append(what)
    data = encode(elements, Coding(syntax.is_implicit_VR, syntax.is_little_endian))
    if not syntax.is_deflated:
        return data
    sound = random.random() < 0.6
    made.append("a sound stream" if sound else "a broken stream")
    return deflated(random, data, sound=sound)


def _transfer_syntax(random: Random, seed: Seed) -> str:
    """Mostly one that fits the seed, now and then any."""
    if not seed.elements or random.random() < 0.3:
        return seed.transfer_syntax_uid
    if random.random() < 0.1:
        return random.choice(decodable_transfer_syntaxes())
    if random.random() < 0.2:
        return str(DeflatedExplicitVRLittleEndian)
    return str(random.choice(_NATIVE))


def _announced(random: Random, seed: Seed, syntax: str) -> InstanceIdentity:
    sop_class, instance = seed.sop_class_uid, seed.sop_instance_uid
    if random.random() < 0.03:
        instance = random.choice(("", "1.2.3", "1." * 40, "../../x", "1.2\0", "1.2.3\n", "é"))
    if random.random() < 0.02:
        sop_class = random.choice(("", "1.2.840.10008.1.1", "x", "1." * 40))
    if random.random() < 0.02:
        syntax = random.choice(("", "1.2.840.10008.1.2.8.1", "x" * 300, "1.2.3"))
    return InstanceIdentity(sop_class, instance, syntax)
