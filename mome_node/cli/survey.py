"""`survey`: what the node would do with an archive's studies, before it goes live."""

from __future__ import annotations

import argparse
import csv
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from mome_node.assembly.rules import AssemblyRules
from mome_node.assembly.survey_verdict import Forecast
from mome_node.cli.arguments import add_command, add_config, add_json
from mome_node.cli.output import WRONG_USAGE, complain, progress, say, say_json, say_table
from mome_node.errors import QueryError
from mome_node.node import assembly_rules
from mome_node.node_delivery import archive, limiters_of
from mome_node.settings import load_settings
from mome_node.settings_pacs import PacsSettings
from mome_node.survey.pseudonyms import identities, pseudonyms
from mome_node.survey.report import SurveyedStudy, counts, load_of
from mome_node.survey.rows import COLUMNS, Survey, as_json, csv_rows
from mome_node.survey.run import Surveyor
from mome_node.survey.sample import InstanceSource, looked_into, sampling_folder, worth_a_look

if TYPE_CHECKING:
    from mome_node.cli.arguments import Commands

MAX_DAYS = 3660
MAX_SAMPLE = 1000
MAX_REASONS = 12
FORECAST_NOTE = (
    "A forecast from the archive's lists: the images decide. Images that come incomplete, or show "
    "less than both breasts, are found out only then."
)


def add_commands(commands: Commands) -> None:
    """Add `survey`."""
    parser = add_command(
        commands,
        "survey",
        "tell which breast MR studies of an archive the node would evaluate, which not, and why",
        "survey --peer pacs --days 30 --csv survey.csv",
        survey,
    )
    add_config(parser)
    parser.add_argument("--peer", required=True, metavar="NAME", help="the name of a [[pacs]]")
    parser.add_argument(
        "--days", type=_days, required=True, metavar="N", help="the last N days, today included"
    )
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write one row a series to FILE")
    parser.add_argument(
        "--sample",
        type=_sample,
        default=0,
        metavar="K",
        help="look into one image of each series of K studies, those in doubt first (DICOMweb "
        "only); the images are deleted at once",
    )
    parser.add_argument(
        "--identify", action="store_true", help="show patients' identifiers and names"
    )
    add_json(parser)


def survey(options: argparse.Namespace) -> int:
    """Ask, judge and tell."""
    settings = load_settings(options.config)
    pacs = next((p for p in settings.pacs if p.name == options.peer), None)
    if pacs is None:
        names = ", ".join(repr(p.name) for p in settings.pacs) or "no [[pacs]] is configured"
        complain("survey", f"--peer: found {options.peer!r}; allowed: {names}")
        return WRONG_USAGE
    if options.csv is not None and not options.csv.parent.is_dir():
        complain("survey", f"--csv: {options.csv.parent} is no folder")
        return WRONG_USAGE
    query, source = archive(pacs, settings, limiters_of(settings)[pacs.name])
    if options.sample and source is None:
        complain(
            "survey",
            f'--sample needs a DICOMweb peer: {pacs.name!r} has kind = "dimse", which would have '
            "to send its images to us (C-MOVE); add a [[pacs]] with its url, or leave it out",
        )
        return WRONG_USAGE
    until = datetime.now(UTC).astimezone().date()
    since = until - timedelta(days=options.days - 1)
    rules = assembly_rules(settings)
    named = identities if options.identify else pseudonyms()
    surveyor = Surveyor(query, rules, named, until, time.sleep)
    studies, complete = _judged(surveyor, since, until)
    if options.sample and source is not None:
        studies = _sampled(studies, options.sample, surveyor, source, rules)
    found = Survey(pacs.name, since, until, tuple(studies), complete)
    if options.json:
        say_json(as_json(found))
    else:
        _tell(found, pacs)
    if options.csv is not None:
        _write_csv(options.csv, found)
    return 0 if complete else 1


def _judged(surveyor: Surveyor, since: date, until: date) -> tuple[list[SurveyedStudy], bool]:
    """All studies, and whether these are all: what an archive has told is not lost if it fails."""
    studies: list[SurveyedStudy] = []
    days = (until - since).days + 1
    complete = True
    with progress("asking", total=days) as bar:

        def told_days() -> Iterator[date]:
            for number in range(days):
                yield since + timedelta(days=number)
                bar.advance(bar.task_ids[0])

        try:
            # What came before an error stays in the list.
            judged = map(surveyor.judge, surveyor.studies(told_days()))
            studies.extend(study for study in judged if study is not None)
        except QueryError as error:
            complain("survey", f"the archive did not tell all: {error}")
            complete = False
    unanswered = counts(studies)[Forecast.UNANSWERED]
    if unanswered:
        complain("survey", f"the archive did not tell the series of {unanswered} studies")
    return studies, complete and not unanswered


def _sampled(
    studies: Sequence[SurveyedStudy],
    count: int,
    surveyor: Surveyor,
    source: InstanceSource,
    rules: AssemblyRules,
) -> list[SurveyedStudy]:
    """The studies, those in doubt judged by an image of each series."""
    chosen = worth_a_look(studies, count)
    looked: dict[str, SurveyedStudy] = {}
    with (
        _ended_by_signals(),
        sampling_folder() as folder,
        progress("looking", total=len(chosen)) as bar,
    ):
        for study in chosen:
            closer = looked_into(
                study, source, rules, folder, lambda text: complain("survey", text)
            )
            looked[study.record.study_uid] = surveyor.judged(closer)
            bar.advance(bar.task_ids[0])
    return [looked.get(s.record.study_uid, s) for s in studies]


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let signals end the command as Ctrl-C does: folders are deleted on the way out."""

    def end(number: int, _: object) -> None:
        sys.exit(128 + number)

    before = {n: signal.signal(n, end) for n in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _write_csv(path: Path, found: Survey) -> None:
    # For the owner alone: UIDs lead to patients for whoever has the archive.
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(handle, "w", encoding="utf-8", newline="") as file:  # noqa: PTH123  # a descriptor
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(csv_rows(found.listed))


def _tell(found: Survey, pacs: PacsSettings) -> None:
    say_table(
        ("date", "patient", "study", "series", "forecast", "confidence", "reason"),
        [
            (
                s.record.study_date or "",
                s.patient,
                s.record.study_uid,
                len(s.series),
                s.verdict.forecast.value,
                "image" if s.is_sampled else s.verdict.confidence.value,
                s.verdict.reason,
            )
            for s in found.listed
        ],
    )
    say()
    say(f"{pacs.name}, {found.since} to {found.until}: {len(found.studies)} MR studies")
    for forecast, number in counts(found.studies).items():
        if number:
            say(f"{number:7} {forecast.value}")
    for reason, number in found.not_breast[:MAX_REASONS]:
        say(f"        {number:7} {reason}")
    load = load_of(found.studies, found.days)
    say(
        f"expected load: {load.a_day:.1f} studies a day, {load.busiest} on the busiest day"
        + (f" ({load.busiest_day})" if load.busiest_day else "")
        + (f", {load.images_a_study} images a study" if load.images_a_study else "")
    )
    say(FORECAST_NOTE)


def _days(text: str) -> int:
    return _whole(text, 1, MAX_DAYS)


def _sample(text: str) -> int:
    return _whole(text, 0, MAX_SAMPLE)


def _whole(text: str, least: int, most: int) -> int:
    if not text.isascii() or not text.isdigit() or not least <= int(text[:9]) <= most:
        raise argparse.ArgumentTypeError(f"found {text[:20]!r}; allowed: {least} to {most}")
    return int(text)
