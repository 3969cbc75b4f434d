"""What result objects are made for: study revision, issue, time, label and the device's name."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import mome_node
from mome_node.dicom.uids import derived_uid
from mome_node.errors import ResultError
from mome_node.results.findings import Findings
from mome_node.results.label import fitted, is_demonstration, marked_label
from mome_node.results.profile import DEFAULT_PROFILE, ResultProfile

MANUFACTURER = "mome-node project"
MODEL_NAME = "mome-node"


class Predecessor(NamedTuple):
    """The report that a new one replaces: the SR of the study's last revision."""

    sop_class_uid: str
    sop_instance_uid: str
    series_uid: str


@dataclass(frozen=True, slots=True)
class Replaced:
    """What the report of an earlier revision said, and why a new one takes its place.

    ``cause`` in the words of the study's history; ``scores`` are (task, probability).
    """

    revision: int
    reported_at: datetime
    cause: str
    scores: tuple[tuple[str, float], ...] = ()
    modalities_used: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ResultContext:
    """Everything that result objects need besides the findings and the source headers.

    ``inputs_digest`` is a digest over the SOP Instance UIDs (and bytes) of the revision's inputs.
    ``issue`` counts from 0 and rises when a result was withdrawn. ``recorded_at`` is the time of
    the recorded event; dates and times are written as they stand in its own time zone, so give it
    in the zone that the site's study times are in. ``predecessor`` is the report that the same
    destinations were sent before, ``replaces`` what it said.
    """

    study_uid: str
    revision: int
    inputs_digest: str
    issue: int
    recorded_at: datetime
    profile: ResultProfile = DEFAULT_PROFILE
    predecessor: Predecessor | None = None
    replaces: Replaced | None = None
    station_name: str = "MOME"
    device_serial: str = "1"

    def __post_init__(self) -> None:
        if self.recorded_at.tzinfo is None:
            raise ResultError("recorded_at has no time zone: give an aware datetime")
        if self.revision < 0 or self.issue < 0:
            raise ResultError(
                f"revision {self.revision} and issue {self.issue} must not be negative"
            )

    @property
    def date(self) -> str:
        """The recorded date as DICOM DA."""
        return self.recorded_at.strftime("%Y%m%d")

    @property
    def time(self) -> str:
        """The recorded time as DICOM TM."""
        return self.recorded_at.strftime("%H%M%S.%f")

    @property
    def label(self) -> str:
        """The site's label."""
        return self.profile.label

    @property
    def device_uid(self) -> str:
        """UID of this device, the same for every object that it makes."""
        return derived_uid("device", MODEL_NAME, self.station_name, self.device_serial)

    def uid(self, findings: Findings, purpose: str) -> str:
        """UID for one purpose, from study, revision, inputs, models, issue and profile."""
        return derived_uid(
            "result",
            purpose,
            self.study_uid,
            str(self.revision),
            self.inputs_digest,
            *(f"{t.task}={t.model.digest}" for t in findings.tasks),
            str(self.issue),
            self.profile.digest,
        )

    def marked_label(self, findings: Findings) -> str:
        """The site's label with the marks that these results need before it."""
        return marked_label(findings, self.label, self.profile.audience)

    def labelled(self, findings: Findings, what: str) -> str:
        """A name with the label behind it, cut to fit an LO value."""
        return self.fitted(what, demonstration=is_demonstration(findings))

    def fitted(self, what: str, *, demonstration: bool) -> str:
        """A name with the label behind it, of results of demonstration models or of others."""
        return fitted(
            what,
            self.label,
            demonstration=demonstration,
            audience=self.profile.audience,
            dots="…" if self.profile.character_set == "ISO_IR 192" else "...",
        )

    def series_description(self, findings: Findings, what: str) -> str:
        """The Series Description of one kind of object."""
        return self.labelled(findings, f"{self.profile.series_name} {what}")

    @property
    def software_version(self) -> str:
        """Version of this node."""
        return mome_node.__version__
