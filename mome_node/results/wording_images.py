"""What the report says of the images: modalities, phases with their times, b-value, series."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mome_node.dicom import codes
from mome_node.mome.prediction import ChannelUse
from mome_node.results.findings import Findings, SeriesUse
from mome_node.results.phrases import Statement, modality_name, modality_names, task_name
from mome_node.volumes.volume import Modality


def image_statements(findings: Findings) -> Iterator[Statement]:
    """Modalities used and missing, which phases were read, and every series with its reason."""
    yield from _modalities(findings)
    if findings.channels:
        yield Statement(codes.CHANNELS, channel_words(findings.channels))
    for score in findings.tasks[1:]:
        if score.channels and score.channels != findings.channels:
            yield Statement(
                codes.CHANNELS, f"{task_name(score.task)}: {channel_words(score.channels)}"
            )
    if findings.dwi_b_value is not None:
        yield Statement(codes.B_VALUE, f"DWI b-value: {findings.dwi_b_value:g} s/mm²")
    for series in findings.series:
        concept = codes.SERIES_LEFT_OUT if series.used_as is None else codes.SERIES_USED
        yield Statement(concept, _series(series))


def _modalities(findings: Findings) -> Iterator[Statement]:
    used = modality_names(findings.modalities_used)
    missing = modality_names(findings.modalities_missing)
    yield Statement(codes.MODALITIES, f"Modalities used: {used}. Missing: {missing}.")
    if findings.modalities_missing:
        # Of a threshold that the package states, the threshold's own line tells.
        stated = findings.tasks[0].operating_points
        unknown = "" if stated else " The model package states nothing on this combination."
        yield Statement(codes.MODALITIES, f"Degraded run: {missing} missing.{unknown}")
    for score in findings.tasks[1:]:
        if score.modalities != findings.modalities_used:
            missing = modality_names([m for m in Modality if m not in score.modalities])
            yield Statement(
                codes.MODALITIES,
                f"{task_name(score.task)}: modalities used: {modality_names(score.modalities)}. "
                f"Missing: {missing}.",
            )


def channel_words(channels: Sequence[ChannelUse]) -> str:
    """Which phase fills which channel, and how many seconds after the pre-contrast phase it was."""
    mapped = "; ".join(_channel(c) for c in channels)
    return f"DCE channel, phase, time after pre-contrast: {mapped}."


def _channel(use: ChannelUse) -> str:
    if use.phase is None:
        return f"channel {use.channel}: not filled"
    phase = "phase 0 (pre-contrast)" if use.phase == 0 else f"phase {use.phase}"
    time = "time unknown" if use.time_s is None else f"{round(use.time_s)} s"
    return f"channel {use.channel}: {phase}, {time}"


def _series(series: SeriesUse) -> str:
    use = "left out" if series.used_as is None else f"used as {modality_name(series.used_as)}"
    return f"{series_name(series)}: {use}; role {series.role}: {series.reason}"


def series_name(series: SeriesUse) -> str:
    """A series by its number and description."""
    number = "without number" if series.number is None else str(series.number)
    return f'Series {number} "{series.description}"'
