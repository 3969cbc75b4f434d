"""Asking an archive by QIDO-RS (PS3.18 section 10.6), page by page."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date

from mome_node.errors import AnswerTooLargeError
from mome_node.query.answers import (
    INSTANCE_KEYS,
    SERIES_KEYS,
    STUDY_KEYS,
    instance_uid,
    is_asked_for,
    only_study,
    series_record,
    study_record,
)
from mome_node.query.days import da, days_between
from mome_node.query.dicom_json import JsonEntry, parse_answer
from mome_node.query.dicomweb import DicomWeb, NothingThereError
from mome_node.query.records import SeriesRecord, StudyRecord, askable_uid, is_askable_uid

PAGE = 100
"""Entries asked for at one time: no archive that we know allows fewer."""


class QidoQuery:
    """See ArchiveQuery."""

    def __init__(self, web: DicomWeb, clock: Callable[[], float] = time.monotonic) -> None:
        self._web = web
        self._clock = clock

    def studies(self, modality: str = "MR", *, since: date, until: date) -> Iterator[StudyRecord]:
        """See ArchiveQuery."""
        seen: set[str] = set()
        for day in days_between(since, until):
            question = {"StudyDate": da(day), "ModalitiesInStudy": modality}
            found = self._all("studies", question, STUDY_KEYS, "StudyInstanceUID")
            for study in [s for s in map(study_record, found) if s is not None]:
                if study.study_uid not in seen and is_asked_for(study, modality, since, until):
                    seen.add(study.study_uid)
                    yield study

    def study(self, study_uid: str) -> StudyRecord | None:
        """See ArchiveQuery. A 404 is raised: it is also what a wrong address answers."""
        question = {"StudyInstanceUID": askable_uid(study_uid, "Study Instance UID")}
        # Not each UID once: a study that is listed twice is told.
        page = self._web.search("studies", {**question, "includefield": STUDY_KEYS})
        return only_study(parse_answer(page.body), study_uid)

    def series_of_study(self, study_uid: str) -> tuple[SeriesRecord, ...]:
        """See ArchiveQuery."""
        path = f"studies/{askable_uid(study_uid, 'Study Instance UID')}/series"
        try:
            entries = self._all(path, {}, SERIES_KEYS, "SeriesInstanceUID")
            found = [series_record(entry, study_uid) for entry in entries]
        except NothingThereError:  # what some answer for a study that they do not have
            return ()
        return tuple(s for s in found if s is not None)

    def instances_of_series(self, study_uid: str, series_uid: str) -> frozenset[str]:
        """See ArchiveQuery."""
        study = askable_uid(study_uid, "Study Instance UID")
        series = askable_uid(series_uid, "Series Instance UID")
        path = f"studies/{study}/series/{series}/instances"
        try:
            entries = self._all(path, {}, INSTANCE_KEYS, "SOPInstanceUID")
            found = {instance_uid(entry, study, series) for entry in entries}
        except NothingThereError:
            return frozenset()
        return frozenset(uid for uid in found if uid is not None)

    def instances_of_study(self, study_uid: str) -> tuple[tuple[str, str], ...]:
        """(Series Instance UID, SOP Instance UID) of each instance; () for no such study."""
        path = f"studies/{askable_uid(study_uid, 'Study Instance UID')}/instances"
        try:
            entries = list(self._all(path, {}, INSTANCE_KEYS, "SOPInstanceUID"))
        except NothingThereError:
            return ()
        found = (tuple(entry.text(key) for key in INSTANCE_KEYS) for entry in entries)
        return tuple(
            (series, instance)
            for series, instance in found
            if is_askable_uid(series) and is_askable_uid(instance)
        )

    def probe(self) -> str:
        """See ArchiveQuery."""
        started = self._clock()
        parse_answer(self._web.search("studies", {"limit": "1"}).body)
        return f"answered QIDO-RS in {1000 * (self._clock() - started):.0f} ms"

    def _all(
        self, path: str, question: Mapping[str, str], keys: Sequence[str], uid_keyword: str
    ) -> Iterator[JsonEntry]:
        """All entries, each UID once.

        A page that is not full is the last one, unless the archive says that there is more; so is
        one with nothing new: some archives ignore the offset.
        """
        seen: set[str] = set()
        offset, most = 0, self._web.limits.max_entries
        while True:
            paging = {"limit": str(PAGE), "offset": str(offset)}
            page = self._web.search(path, {**question, "includefield": keys, **paging})
            entries = parse_answer(page.body)
            new: dict[str, JsonEntry] = {}
            for entry in entries:
                if (uid := entry.text(uid_keyword)) not in seen:
                    new.setdefault(uid, entry)
            seen.update(new)
            if len(seen) > most:
                raise AnswerTooLargeError(f"one answer has more than {most} entries")
            yield from new.values()
            offset += len(entries)
            if not new or (len(entries) < PAGE and not page.is_partial):
                return
