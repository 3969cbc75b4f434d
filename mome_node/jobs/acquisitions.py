"""How the dynamic that a plan names was acquired, from the headers of its images."""

from __future__ import annotations

from collections.abc import Sequence

from mome_node.assembly.choice import fat_suppressed
from mome_node.assembly.plan import Stack, StudyPlan
from mome_node.assembly.planes import Plane, offsets_of
from mome_node.dicom.header import FrameRef, InstanceFacts
from mome_node.fitness.acquisition import Acquisition


def dynamic_acquisition(plan: StudyPlan, instances: Sequence[InstanceFacts]) -> Acquisition | None:
    """The acquisition of the plan's dynamic; None where it has none or its images are not given."""
    if not plan.dce:
        return None
    planes = {
        FrameRef(i.sop_instance_uid, f.frame_number): Plane(i, f)
        for i in instances
        for f in i.frames
    }
    if any(frame not in planes for stack in plan.dce for frame in stack.frames):
        return None
    phases = [[planes[frame] for frame in stack.frames] for stack in plan.dce]
    first = phases[0]
    thickness = [f for p in first if (f := p.frame.slice_thickness) is not None and f > 0]
    spacing = [max(s) for p in first if (s := p.frame.pixel_spacing) is not None]
    return Acquisition(
        slices=len(first),
        distance_mm=_distance(first),
        thickness_mm=min(thickness, default=None),
        pixel_mm=max(spacing, default=None),
        post_times_s=_post_times(plan.dce),
        agent_named=any(p.instance.contrast_agent for phase in phases for p in phase),
        fat_suppressed=all(fat_suppressed(p.instance, p.image_type) for p in first),
    )


def _distance(planes: Sequence[Plane]) -> float | None:
    """Mean distance of the slices' centres; None of a single one, or where one has no place."""
    if len(planes) < 2 or not all(p.placed for p in planes):
        return None
    offsets = offsets_of(planes)
    return (max(offsets) - min(offsets)) / (len(offsets) - 1)


def _post_times(phases: Sequence[Stack]) -> tuple[float | None, ...]:
    return tuple(stack.time_s for stack in phases[1:])
