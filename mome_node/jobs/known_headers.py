"""What instances said of themselves, kept for the next look at their study, in bounded memory.

A key of the store is a digest of the bytes under it, so what was read once stays true. What was
forgotten, or could not be read, is read again.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import fields, replace
from typing import Any, Final

from mome_node.dicom.header import FrameFacts, InstanceFacts
from mome_node.jobs.reading import SourceInstance, facts_from_file

MAX_PLANES: Final = 40_000
"""Image planes whose facts are kept, about 1 KB each: a dozen of the longest breast dynamics."""

MAX_SHARED: Final = 20_000
"""Different values that are kept once for all that have them."""

OWN: Final = frozenset({"sop_instance_uid", "frames", "image_position", "instance_number"})
"""Facts that hardly two instances, or frames, have in common."""


class KnownHeaders:
    """The facts of the instances that were looked at last. For one thread at a time."""

    def __init__(self, max_planes: int = MAX_PLANES) -> None:
        self._max_planes = max_planes
        self._facts: OrderedDict[str, InstanceFacts] = OrderedDict()
        self._planes = 0
        self._shared: dict[str | tuple[str], Any] = {}

    @property
    def planes(self) -> int:
        """Image planes whose facts are kept; an instance without any counts as one."""
        return self._planes

    def facts_of(self, instance: SourceInstance) -> InstanceFacts:
        """What the instance says of itself, from memory or from its file; HeaderError."""
        facts = self._facts.get(instance.sha256)
        if facts is None:
            facts = self._with_shared_values(facts_from_file(instance))
            self._keep(instance.sha256, facts)
        else:
            self._facts.move_to_end(instance.sha256)
        return facts

    def _keep(self, key: str, facts: InstanceFacts) -> None:
        self._facts[key] = facts
        self._planes += _planes_of(facts)
        while self._planes > self._max_planes:
            _, oldest = self._facts.popitem(last=False)
            self._planes -= _planes_of(oldest)

    def _with_shared_values(self, facts: InstanceFacts) -> InstanceFacts:
        """The same facts; values that many instances have lie in memory once."""
        if len(self._shared) > MAX_SHARED:
            self._shared.clear()
        frames = tuple(replace(f, **self._shared_of(f)) for f in facts.frames)
        return replace(facts, frames=frames, **self._shared_of(facts))

    def _shared_of(self, facts: InstanceFacts | FrameFacts) -> dict[str, Any]:
        shared = {}
        for field in fields(facts):
            value = getattr(facts, field.name)
            if isinstance(value, (str, tuple)) and field.name not in OWN:
                # Numbers by how they are written: 0.0 and -0.0 are equal and not the same.
                key = value if isinstance(value, str) else (repr(value),)
                shared[field.name] = self._shared.setdefault(key, value)
        return shared


def _planes_of(facts: InstanceFacts) -> int:
    return max(len(facts.frames), 1)
