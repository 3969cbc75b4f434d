"""From the files of a study to header facts, and from a plan to an exam."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mome_node.assembly.plan import Stack, StudyPlan
from mome_node.dicom.header import InstanceFacts
from mome_node.dicom.header_reading import read_facts
from mome_node.errors import HeaderError
from mome_node.volumes.builder import build_volume
from mome_node.volumes.volume import Exam, Volume


@dataclass(frozen=True, slots=True)
class SourceInstance:
    """An instance of a study on disk. ``sha256`` is over its data set."""

    sop_instance_uid: str
    path: Path
    sha256: str


@dataclass(frozen=True, slots=True)
class StudyFacts:
    """What the instances of a study say; ``unreadable`` are the UIDs of those that say nothing."""

    instances: tuple[InstanceFacts, ...]
    unreadable: tuple[str, ...]


def facts_from_file(instance: SourceInstance) -> InstanceFacts:
    """What an instance says of itself, read from its file; HeaderError."""
    return read_facts(instance.path)


def read_study(
    instances: Iterable[SourceInstance],
    progress: Callable[[], None] = lambda: None,
    facts_of: Callable[[SourceInstance], InstanceFacts] = facts_from_file,
) -> StudyFacts:
    """Read the header of every instance; one that cannot be read stops nobody."""
    facts, unreadable = [], []
    for instance in instances:
        try:
            facts.append(facts_of(instance))
        except HeaderError:
            unreadable.append(instance.sop_instance_uid)
        progress()
    return StudyFacts(tuple(facts), tuple(unreadable))


def inputs_digest(plan: StudyPlan, sha256_of: Mapping[str, str]) -> str:
    """Digest over what the model will read: which bytes, as which volume.

    Instances that the plan leaves out do not count, so that their coming or going makes no new
    result.
    """
    stacks = [("dce", s) for s in plan.dce]
    stacks += [(name, s) for name, s in (("dwi", plan.dwi), ("t2", plan.t2)) if s is not None]
    digest = hashlib.sha256()
    for name, stack in stacks:
        digest.update(f"{name} {stack.phase} {stack.b_value} {stack.time_s}\n".encode())
        for frame in stack.frames:
            tile = "" if frame.tile is None else f" {frame.tile}"
            name = f"{sha256_of[frame.sop_instance_uid]} {frame.frame_number}{tile}\n"
            digest.update(name.encode())
    return digest.hexdigest()


def build_exam(plan: StudyPlan, path_of: Callable[[str], Path]) -> Exam:
    """Read the volumes that a plan names.

    Raises VolumeError where images make no volume, PixelDataError where they cannot be decoded.
    """

    def volume(stack: Stack | None) -> Volume | None:
        return None if stack is None else build_volume(stack.frames, path_of)

    return Exam(
        dce=tuple(build_volume(stack.frames, path_of) for stack in plan.dce),
        # DICOM tells times to a millisecond at best; more digits are those of the subtraction.
        phase_times_s=tuple(None if s.time_s is None else round(s.time_s, 3) for s in plan.dce),
        dwi=volume(plan.dwi),
        dwi_b_value=plan.dwi.b_value if plan.dwi else None,
        t2=volume(plan.t2),
    )
