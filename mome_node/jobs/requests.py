"""What the node asks of its inference process, and what it gets back. Frozen, small, picklable."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from mome_node.assembly.rules import AssemblyRules
from mome_node.dicom.reason_codes import Reason
from mome_node.errors import NodeError
from mome_node.fitness.accepts import Accepts
from mome_node.fitness.policy import Policy
from mome_node.jobs.reading import SourceInstance
from mome_node.mome.prediction import ChannelUse
from mome_node.results.context import Predecessor, Replaced
from mome_node.results.profile import DEFAULT_PROFILE, ResultProfile


class EvaluationInterruptedError(NodeError):
    """The evaluation was broken off because the node stops: nothing is wrong with the study."""


FINDINGS = "findings.json"
"""What an evaluation leaves for programs, beside its objects."""

NOT_TRIED_AGAIN = "not tried again: it would end the same way"
"""Ends the words of an error whose study is not evaluated again by policy."""


@dataclass(frozen=True, slots=True)
class InstalledModel:
    """A package that the inference process has loaded, and on what terms it may run.

    The site ``asserts`` those conditions of the studies that ``when`` describes: a regular
    expression for each of some attributes of InstanceFacts; none: of every study. ``fitness`` is
    what failed checks do; ``b_value_range`` in s/mm² is what its preprocessing takes.
    """

    name: str
    version: str
    digest: str
    task: str
    synthetic: bool
    allow_synthetic_on_patients: bool
    device: str
    precision: str = "float32"
    applies_when: tuple[str, ...] = ()
    asserts: tuple[str, ...] = ()
    when: tuple[tuple[str, str], ...] = ()
    accepts: Accepts = field(default_factory=Accepts)
    preferred_b_value: float | None = None
    b_value_range: tuple[float, float] | None = None
    fitness: Policy = field(default_factory=Policy)


@dataclass(frozen=True, slots=True)
class EvaluationRequest:
    """Evaluate one revision of one study and leave its result objects in ``out_dir``.

    ``recorded_at`` is the time of the event that the objects' dates and times come from. ``debug``
    adds pictures of each step from the images to the primary model's inputs. ``lacking`` is what
    the site lets the study be evaluated without: warnings for the report.

    Objects are made in each of ``profiles``, pictures and findings.json with the label of the
    first. ``predecessors`` names the report to replace by the profile's digest, ``replaces`` what
    it said. ``issue`` counts how often results of the study were withdrawn.
    """

    study_uid: str
    revision: int
    instances: tuple[SourceInstance, ...]
    rules: AssemblyRules
    station_name: str
    recorded_at: datetime
    out_dir: Path
    profiles: tuple[ResultProfile, ...] = (DEFAULT_PROFILE,)
    predecessors: tuple[tuple[str, Predecessor], ...] = ()
    replaces: Replaced | None = None
    issue: int = 0
    pictures: bool = False
    debug: bool = False
    lacking: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MadeObject:
    """A result object on disk, a complete DICOM file. ``profile``: the digest of its profile."""

    kind: str  # "sr", "seg", ...
    profile: str
    sop_class_uid: str
    sop_instance_uid: str
    series_uid: str
    path: Path


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The study was evaluated. ``seconds`` is the time of each step.

    ``channels`` says which phase of the dynamic the primary model read in which channel.
    """

    objects: tuple[MadeObject, ...]
    inputs_digest: str
    findings_path: Path
    seconds: dict[str, float] = field(default_factory=dict)
    channels: tuple[ChannelUse, ...] = ()


@dataclass(frozen=True, slots=True)
class NotEvaluated:
    """The study cannot be evaluated; ``quarantine`` where a person has to look at it.

    ``undecodable`` are the SOP Instance UIDs of those that keep it from being evaluated.
    ``reasons`` are what ``reason`` says in one line, each with its code.
    """

    reason: str
    quarantine: bool = False
    undecodable: tuple[str, ...] = ()
    reasons: tuple[Reason, ...] = ()


class Evaluator(Protocol):
    """Evaluates one study somewhere else."""

    def prepare(self) -> None:
        """Be ready to evaluate; NodeError if that cannot be, whatever the study."""
        ...

    def evaluate(self, request: EvaluationRequest) -> Evaluated | NotEvaluated:
        """Leave the study's result objects in the request's folder; NodeError if that fails.

        An error that no retry mends ends with NOT_TRIED_AGAIN.
        EvaluationInterruptedError if ``interrupt`` was called.
        """
        ...

    def interrupt(self) -> None:
        """Break off what runs, and begin nothing more: the node stops. From any thread."""
        ...
