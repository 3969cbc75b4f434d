"""What the report says about the one that it replaces: which, why, and what is different now."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mome_node.dicom import codes
from mome_node.results.context import Replaced
from mome_node.results.findings import TaskScore
from mome_node.results.phrases import Statement, modality_names, percent, task_name
from mome_node.volumes.volume import Modality


def changes(
    replaced: Replaced, scores: Sequence[TaskScore], modalities: Sequence[Modality]
) -> Iterator[Statement]:
    """That another report is replaced, and how it differed in modalities and scores.

    ``modalities`` are those that the primary model used now.
    """
    yield _change(
        f"This report replaces the report of revision {replaced.revision}, made on "
        f"{replaced.reported_at:%Y-%m-%d} at {replaced.reported_at:%H:%M}. "
        f"Why: {replaced.cause.strip().rstrip('.') or 'not recorded'}."
    )
    if replaced.modalities_used and scores:
        yield _change(_modalities(replaced.modalities_used, [m.value for m in modalities]))
    for text in _scores(dict(replaced.scores), {s.task: s.prediction.probability for s in scores}):
        yield _change(text)


def _change(text: str) -> Statement:
    return Statement(codes.CHANGES, text)


def _modalities(before: Sequence[str], now: Sequence[str]) -> str:
    added = [m for m in now if m not in before]
    lost = [m for m in before if m not in now]
    if not added and not lost:
        return f"The same modalities were used: {modality_names(now)}."
    told = [f"{modality_names(added)} added"] if added else []
    told += [f"{modality_names(lost)} lost"] if lost else []
    return f"Modalities used: {', '.join(told)}; now {modality_names(now)}."


def _scores(before: dict[str, float], now: dict[str, float]) -> Iterator[str]:
    if not before:
        yield "The replaced report gave no score."
    elif before == now:
        yield "The scores are the same."
        return
    for task, score in now.items():
        if task not in before:
            told = "was not given, is"
        elif percent(before[task]) == percent(score):
            told = "is as before" if before[task] == score else "is, to the percent, as before"
        else:
            told = f"was {percent(before[task])}, is"
        yield f"{task_name(task)} {told} {percent(score)}."
    for task, score in before.items():
        if task not in now:
            yield f"{task_name(task)} was {percent(score)}, is not given now."
