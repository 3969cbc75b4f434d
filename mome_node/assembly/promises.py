"""What the headers of a study promise that has not come: counts that the images carry.

Such counts are hints. Images in Acquisition is often that of one volume, or wrong, and a count
that a PACS wrote may be older than the series. So only a shortfall is told, for a while: it makes
a study wait longer, and never blocks it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

from mome_node.dicom.header import InstanceFacts

MAX_PROMISED = 100_000
"""A larger count is no count of images."""


def unkept_promises(instances: Sequence[InstanceFacts]) -> tuple[str, ...]:
    """What the headers announce beyond what is here, in words, one for each series and element.

    ``instances`` are all of the study, once each. Elements: Number of Series Related Instances
    (0020,1209), Images in Acquisition (0020,1002), Number of Temporal Positions (0020,0105), In-
    concatenation Total Number (0020,9163).
    """
    by_series: dict[str, list[InstanceFacts]] = defaultdict(list)
    for instance in instances:
        by_series[instance.series_uid].append(instance)
    acquisitions = _planes_by_acquisition(instances)
    unkept: list[str] = []
    for uid, series in sorted(by_series.items()):
        unkept += (f"series {uid}: {told}" for told in _series_promises(series, acquisitions))
    return tuple(unkept)


def _series_promises(
    series: Sequence[InstanceFacts], acquisitions: Counter[int | None]
) -> Iterator[str]:
    related = _highest(i.series_instances for i in series)
    if related > len(series):
        yield f"{len(series)} of {related} instances (0020,1209)"
    own = _planes_by_acquisition(series)
    for number, meant in sorted(_meant_by_acquisition(series).items(), key=str):
        # One acquisition may lie in several series: the count that promises least is believed.
        came = max(own[number], acquisitions[number])
        if meant > came:
            yield f"{came} of {meant} images in acquisition (0020,1002)"
    positions = {f.temporal_position for i in series for f in i.frames} - {None}
    declared = _highest(i.temporal_positions for i in series)
    # A series that holds one phase of several counts the phases of all of them.
    if 1 < len(positions) < declared:
        yield f"{len(positions)} of {declared} temporal positions (0020,0105)"
    parts: dict[str, list[InstanceFacts]] = defaultdict(list)
    for instance in series:
        if instance.concatenation_uid:
            parts[instance.concatenation_uid].append(instance)
    for found in parts.values():
        total = _highest(i.concatenation_total for i in found)
        if total > len(found):
            yield f"{len(found)} of {total} parts of a concatenation (0020,9163)"


def _planes_by_acquisition(instances: Sequence[InstanceFacts]) -> Counter[int | None]:
    planes: Counter[int | None] = Counter()
    for instance in instances:
        planes[instance.acquisition_number] += len(instance.frames)
    return planes


def _meant_by_acquisition(series: Sequence[InstanceFacts]) -> dict[int | None, int]:
    meant: dict[int | None, int] = {}
    for instance in series:
        number = instance.acquisition_number
        meant[number] = max(meant.get(number, 0), _highest([instance.images_in_acquisition]))
    return meant


def _highest(counts: Iterable[int | None]) -> int:
    return max((c for c in counts if c is not None and 0 < c <= MAX_PROMISED), default=0)
