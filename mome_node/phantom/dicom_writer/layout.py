"""Which series an exam becomes at each vendor: how phases, b-values and maps are parted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mome_node.phantom.dicom_writer.courses import START_S, Course, Run, runs_of
from mome_node.phantom.dicom_writer.dynamic_layouts import WRITINGS, DynamicLayout, Parts, Writing
from mome_node.phantom.dicom_writer.localizer import localizer
from mome_node.phantom.dicom_writer.series import ImageStack, Kind, Series
from mome_node.phantom.exam import PhantomExam, Vendor

_START_S = {Kind.LOCALIZER: 60.0, Kind.T2: 150.0, Kind.DWI: 480.0, Kind.DCE: START_S}


def series_of(
    exam: PhantomExam, vendor: Vendor, *, enhanced: bool, second_layout: bool
) -> tuple[Series, ...]:
    """The series of the exam in the order of their numbers.

    ``second_layout`` is each vendor's other habit: GE parts the pre-contrast phase from posts
    named "Ph1/..."; Siemens gives all phases one description. It changes single-frame forms only.
    """
    make = {Vendor.SIEMENS: _siemens, Vendor.GE: _ge, Vendor.PHILIPS: _philips}[vendor]
    return make(exam, enhanced, second_layout)


def series_with_course(
    exam: PhantomExam, layout: DynamicLayout, course: Course
) -> tuple[Series, ...]:
    """The series of the exam with a dynamic that went, and is written, in a way of its own.

    It has no subtraction series, whose sources would be those of the usual dynamic.
    """
    writing = WRITINGS[layout]
    usual = series_of(exam, writing.vendor, enhanced=False, second_layout=False)
    others = [s for s in usual if s.kind not in (Kind.DCE, Kind.SUBTRACTION)]
    dynamic: list[Series] = []
    for run in runs_of(exam, course):
        dynamic += _run_series(run, writing, 1000 + len(dynamic))
    return (*others, *dynamic)


def _run_series(run: Run, writing: Writing, first: int) -> list[Series]:
    """The series that one run becomes, numbered from ``first``."""
    stacks = _clocked(run, writing)
    if not run.is_whole:
        numbered = (replace(s, position=(n, len(stacks))) for n, s in enumerate(stacks, start=1))
        stacks = tuple(numbered)[run.first : run.last]
    parts: list[tuple[ImageStack, ...]]
    if writing.parts is Parts.EACH:
        parts = [(s,) for s in stacks]
    elif writing.parts is Parts.PRE_APART and not stacks[0].contrast and len(stacks) > 1:
        parts = [stacks[:1], stacks[1:]]
    else:
        parts = [stacks]
    return [
        Series(
            first + n,
            Kind.DCE,
            writing.name.format(post=f"Ph{n}/" if n else ""),
            writing.name.format(post=""),
            part,
            interleaved=writing.time_first,
            marks=writing.marks,
        )
        for n, part in enumerate(parts)
    ]


def _clocked(run: Run, writing: Writing) -> tuple[ImageStack, ...]:
    """The phases with the clock that the scanner writes, and its trigger times counted from it."""
    stacks = run.stacks if writing.counted else tuple(replace(s, acquisition=1) for s in run.stacks)
    if not writing.one_clock:
        return stacks
    apart = writing.parts is not Parts.ALL and not stacks[0].contrast and len(stacks) > 1
    scans = [stacks[:1], stacks[1:]] if apart else [stacks]
    return tuple(
        replace(s, clock_s=scan[0].start_s, offset_s=s.start_s - scan[0].start_s)
        for scan in scans
        for s in scan
    )


def _siemens(exam: PhantomExam, enhanced: bool, second_layout: bool) -> tuple[Series, ...]:
    b_values = "_".join(f"{b:g}" for b, _ in exam.dwi)
    dwi, dce = f"ep2d_diff_b{b_values}_tra", "t1_fl3d_tra_spair_dyn"
    phases, subtraction = _dynamic(exam), _subtraction(exam)
    if enhanced:
        dynamic = [Series(5, Kind.DCE, dce, dce, phases, object_per_stack=True)]
    elif second_layout:
        dynamic = [Series(5 + i, Kind.DCE, dce, dce, (phase,)) for i, phase in enumerate(phases)]
    else:
        dce = "t1_fl3d_tra_dyn"
        names = [f"{dce}_{i or 'pre'}" for i in range(len(phases))]
        dynamic = [
            Series(5 + i, Kind.DCE, names[i], names[i], (phase,)) for i, phase in enumerate(phases)
        ]
    after = dynamic[-1].number + 1
    return (
        Series(1, Kind.LOCALIZER, "localizer", "localizer", _localizer(exam)),
        Series(2, Kind.T2, "t2_tse_tra_spair", "t2_tse_tra_spair", _t2(exam)),
        Series(3, Kind.DWI, f"{dwi}_TRACEW", dwi, _dwi(exam)),
        Series(
            4,
            Kind.ADC,
            f"{dwi}_ADC",
            dwi,
            _adc(exam),
            sequence_name=f"ep_b{b_values}",
            sources=((3, 1),),
        ),
        *dynamic,
        *(
            Series(after, Kind.SUBTRACTION, f"{dce}_1_SUB", dce, (stack,), sources=((5, 1), (5, 2)))
            for stack in subtraction
        ),
    )


def _ge(exam: PhantomExam, enhanced: bool, second_layout: bool) -> tuple[Series, ...]:
    high = max(b for b, _ in exam.dwi)
    phases, subtraction = _dynamic(exam, counted=False), _subtraction(exam)
    protocol = "Breast Bilateral"
    if second_layout and not enhanced:
        dce = "Ax 3D Vibrant"
        dynamic = [
            Series(5 if i == 0 else 500 + i, Kind.DCE, f"Ph{i}/{dce}" if i else dce, protocol, (p,))
            for i, p in enumerate(phases)
        ]
    else:
        dce = "Ax Vibrant MultiPhase"
        dynamic = [Series(5, Kind.DCE, dce, protocol, phases, interleaved=enhanced)]
    dwi = _dwi(exam, counted=False)
    adc = "Apparent Diffusion Coefficient (mm2/s)"
    return (
        Series(1, Kind.LOCALIZER, "3-Plane Loc", protocol, _localizer(exam)),
        Series(2, Kind.T2, "Ax T2 FSE FS", protocol, _t2(exam)),
        Series(3, Kind.DWI, f"Ax DWI b{high:g}", protocol, dwi, interleaved=enhanced),
        Series(350, Kind.ADC, adc, protocol, _adc(exam, high), sources=((3, 1),)),
        *dynamic,
        *(
            Series(550, Kind.SUBTRACTION, f"SUB {dce}", protocol, (stack,), sources=((5, 1),))
            for stack in subtraction
        ),
    )


def _philips(exam: PhantomExam, enhanced: bool, second_layout: bool) -> tuple[Series, ...]:
    del enhanced, second_layout  # one habit, whatever the form
    dynamic, dwi = _dynamic(exam, counted=False), _dwi(exam, counted=False)
    return (
        Series(101, Kind.LOCALIZER, "SURVEY", "SURVEY", _localizer(exam)),
        Series(201, Kind.T2, "T2W_SPAIR", "T2W_SPAIR SENSE", _t2(exam)),
        Series(301, Kind.DWI, "DWI_SSh", "DWI_SSh SENSE", dwi, interleaved=True),
        Series(302, Kind.ADC, "dADC DWI_SSh", "DWI_SSh SENSE", _adc(exam), sources=((301, 1),)),
        Series(401, Kind.DCE, "dyn_eTHRIVE", "dyn_eTHRIVE SENSE", dynamic, interleaved=True),
    )


def _dynamic(exam: PhantomExam, *, counted: bool = True) -> tuple[ImageStack, ...]:
    """The phases; ``counted``: each is an acquisition with a number of its own."""
    return tuple(
        ImageStack(
            volume,
            start_s=_START_S[Kind.DCE] + time,
            offset_s=time,
            acquisition=i + 1 if counted else 1,
            contrast=i > 0,
        )
        for i, (volume, time) in enumerate(zip(exam.dce, exam.phase_times_s, strict=True))
    )


def _subtraction(exam: PhantomExam) -> Sequence[ImageStack]:
    """First post-contrast phase minus the pre-contrast phase, where there is a post."""
    if len(exam.dce) < 2:
        return ()
    pre, post = exam.dce[:2]
    start = _START_S[Kind.DCE] + exam.phase_times_s[1]
    return (ImageStack(post, start, contrast=True, minus=pre),)


def _dwi(exam: PhantomExam, *, counted: bool = True) -> tuple[ImageStack, ...]:
    return tuple(
        ImageStack(v, _START_S[Kind.DWI], acquisition=i + 1 if counted else 1, b_value=float(b))
        for i, (b, v) in enumerate(exam.dwi)
    )


def _adc(exam: PhantomExam, b_value: float | None = None) -> tuple[ImageStack, ...]:
    return (ImageStack(exam.adc, _START_S[Kind.DWI], b_value=b_value),)


def _t2(exam: PhantomExam) -> tuple[ImageStack, ...]:
    return (ImageStack(exam.t2, _START_S[Kind.T2]),)


def _localizer(exam: PhantomExam) -> tuple[ImageStack, ...]:
    return tuple(ImageStack(v, _START_S[Kind.LOCALIZER]) for v in localizer(exam.t2))
