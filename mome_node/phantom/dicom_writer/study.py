"""One phantom exam → the files of one study."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

from mome_node.errors import PhantomError
from mome_node.phantom.dicom_writer.classic import write_classic
from mome_node.phantom.dicom_writer.courses import Course
from mome_node.phantom.dicom_writer.dynamic_layouts import WRITINGS, DynamicLayout, usual_layout
from mome_node.phantom.dicom_writer.enhanced import write_enhanced
from mome_node.phantom.dicom_writer.identity import StudyIdentity, chosen, derived_uid
from mome_node.phantom.dicom_writer.layout import series_of, series_with_course
from mome_node.phantom.dicom_writer.vendors import habits_of
from mome_node.phantom.exam import VERSION, PhantomExam, Vendor

_LARGEST_SEED = 10**12


def write_study(
    exam: PhantomExam,
    out_dir: Path,
    *,
    vendor: Vendor,
    enhanced: bool = False,
    study_uid: str | None = None,
    study_date: date | None = None,
    layout: DynamicLayout | None = None,
    course: Course = Course.USUAL,
) -> tuple[Path, ...]:
    """Write an exam as DICOM files (Explicit VR Little Endian) named by series and instance.

    The same exam, vendor, form and date give the same bytes. Nothing but the pixels depends on
    the truth; of it only the seed is written. UIDs come from seed, vendor, form, date, matrix
    sizes and VERSION: who writes other images for the same of these must give a ``study_uid``,
    from which the UIDs of series and instances then follow.

    The folder is made if it is not there. ``enhanced`` writes Enhanced MR Image Storage instead of
    MR Image Storage; ``study_uid`` stands for the derived Study Instance UID; ``study_date`` is
    today if not given. ``layout`` and ``course`` write the dynamic in another of the vendor's ways
    and as if the exam had gone another way; single-frame objects only. Returns the files in the
    order of their names. Raises PhantomError if the exam cannot be written as asked,
    or the folder cannot be written to.
    """
    _check(exam)
    chosen_layout = _layout(vendor, layout, course, enhanced=enhanced)
    day = study_date or datetime.now().astimezone().date()
    habits = habits_of(vendor)
    identity = StudyIdentity(
        seed=exam.truth.seed,
        letter=habits.letter,
        study_uid=study_uid
        or _study_uid(exam, vendor, enhanced, day, *_asked(chosen_layout, course)),
        study_date=day,
        time_decimals=habits.time_decimals,
    )
    second_layout = bool(chosen(exam.truth.seed, "layout", 2))
    write = write_enhanced if enhanced else write_classic
    paths: list[Path] = []
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        if chosen_layout is None:
            made = series_of(exam, vendor, enhanced=enhanced, second_layout=second_layout)
        else:
            made = series_with_course(exam, chosen_layout, course)
        for series in made:
            paths += write(series, identity, vendor, habits, out_dir)
    except OSError as error:
        raise PhantomError(f"cannot write the phantom to {out_dir}: {error.strerror}") from error
    return tuple(sorted(paths))


def _layout(
    vendor: Vendor, layout: DynamicLayout | None, course: Course, *, enhanced: bool
) -> DynamicLayout | None:
    """The layout that was asked for, or that a course needs; None for the vendor's usual files."""
    if layout is None and course is Course.USUAL:
        return None
    if enhanced:
        raise PhantomError("layouts and courses are of single-frame objects, not of enhanced ones")
    layout = layout or usual_layout(vendor)
    if WRITINGS[layout].vendor is not vendor:
        raise PhantomError(f"{layout} is no layout of {vendor}")
    return layout


def _asked(layout: DynamicLayout | None, course: Course) -> tuple[str, ...]:
    return () if layout is None else (layout.value, course.value)


def _study_uid(exam: PhantomExam, vendor: Vendor, enhanced: bool, day: date, *asked: str) -> str:
    shapes = [v.grid.shape for v in (*exam.dce, *(v for _, v in exam.dwi), exam.adc, exam.t2)]
    form = "enhanced" if enhanced else "classic"
    return derived_uid("phantom", VERSION, exam.truth.seed, vendor.value, form, day, shapes, *asked)


def _check(exam: PhantomExam) -> None:
    if not 0 <= exam.truth.seed < _LARGEST_SEED:
        raise PhantomError(f"the seed must be from 0 to {_LARGEST_SEED - 1}")
    if not exam.dce or not exam.dwi:
        raise PhantomError("an exam needs at least one phase and one diffusion-weighted volume")
    if len(exam.dce) != len(exam.phase_times_s):
        raise PhantomError(f"{len(exam.phase_times_s)} times for {len(exam.dce)} phases")
    if any(not v.grid.matches(exam.dce[0].grid) for v in exam.dce):
        raise PhantomError("the phases of one dynamic must share one grid")
    if any(not v.grid.matches(exam.dwi[0][1].grid) for _, v in exam.dwi):
        raise PhantomError("the diffusion-weighted volumes must share one grid")
