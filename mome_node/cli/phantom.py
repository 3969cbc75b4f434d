"""`phantom`: one synthetic exam as DICOM, with its truth beside it."""

from __future__ import annotations

import argparse
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from mome_node.cli.arguments import add_command
from mome_node.cli.output import progress, say
from mome_node.dicom.uids import derived_uid
from mome_node.errors import PhantomError
from mome_node.phantom.exam import VERSION, Vendor

if TYPE_CHECKING:
    from mome_node.cli.arguments import Commands

Name = TypeVar("Name", bound=StrEnum)

SEEDS = 10**12
"""How many seeds the DICOM identity of a phantom has room for."""


def add_commands(commands: Commands) -> None:
    """Add `phantom`."""
    parser = add_command(
        commands,
        "phantom",
        "write one synthetic breast MRI exam: OUT/dicom/*.dcm and its truth, OUT/truth.json",
        "phantom ./exam --seed 7 --vendor ge",
        phantom,
    )
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--seed", type=_seed, default=0, help="which woman and exam (0)")
    parser.add_argument(
        "--vendor",
        choices=[v.value for v in Vendor],
        default=Vendor.SIEMENS.value,
        help="whose habits the tags follow (siemens)",
    )
    parser.add_argument("--enhanced", action="store_true", help="enhanced multi-frame objects")
    parser.add_argument(
        "--layout", metavar="NAME", help="how the dynamic is written, see docs/phantom.md"
    )
    parser.add_argument(
        "--course", metavar="NAME", default="usual", help="how the exam went, see docs/phantom.md"
    )
    parser.add_argument("--no-lesion", action="store_true", help="the same woman without lesions")


def phantom(options: argparse.Namespace) -> int:
    """Render and write the exam."""
    from mome_node.phantom.dicom_writer import Course, DynamicLayout, write_study
    from mome_node.phantom.render import render_exam
    from mome_node.phantom.truth_file import write_truth

    layout = None if options.layout is None else _one_of(DynamicLayout, options.layout, "layout")
    course = _one_of(Course, options.course, "course")
    folder = options.out / "dicom"
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise PhantomError(f"{folder} is not empty; two exams must not mix")
    with progress("rendering"):
        exam = render_exam(options.seed, with_lesions=not options.no_lesion)
    today = datetime.now().astimezone().date()
    study_uid = None
    if options.no_lesion:
        # Other voxels under the same UIDs would be two exams that claim to be one.
        parts = [str(options.seed), options.vendor, str(options.enhanced), VERSION, str(today)]
        if layout is not None or course is not Course.USUAL:
            parts += [str(layout), str(course)]
        study_uid = derived_uid("phantom without lesion", *parts)
    with progress("writing"):
        paths = write_study(
            exam,
            folder,
            vendor=Vendor(options.vendor),
            enhanced=options.enhanced,
            study_uid=study_uid,
            study_date=today,
            layout=layout,
            course=course,
        )
        write_truth(exam.truth, options.out / "truth.json")
    say(f"{len(paths)} DICOM files in {folder}, truth in {options.out / 'truth.json'}")
    return 0


def _one_of(names: type[Name], text: str, what: str) -> Name:
    try:
        return names(text)
    except ValueError as error:
        known = ", ".join(names)
        raise PhantomError(f"{text[:40]!r} is no {what}; there are {known}") from error


def _seed(text: str) -> int:
    try:
        seed = int(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no whole number") from error
    if not 0 <= seed < SEEDS:
        raise argparse.ArgumentTypeError(f"a seed lies from 0 to {SEEDS - 1}")
    return seed
