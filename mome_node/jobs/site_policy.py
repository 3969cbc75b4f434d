"""What the settings say about studies and results, as the stages need it."""

from __future__ import annotations

from dataclasses import dataclass, field

from mome_node.assembly.completeness import OnDeadline, Patience
from mome_node.assembly.rules import AssemblyRules
from mome_node.catalog.records import Route
from mome_node.jobs.retries import EvaluationRetries
from mome_node.results.profile import DEFAULT_PROFILE, ResultProfile
from mome_node.results.wording import DEFAULT_LABEL


@dataclass(frozen=True, slots=True)
class DestinationPolicy:
    """What a destination gets. ``is_held``: nothing, before a person lets it go."""

    name: str
    profile: ResultProfile = DEFAULT_PROFILE
    is_held: bool = False


@dataclass(frozen=True, slots=True)
class SitePolicy:
    """What the settings say about studies and results."""

    rules: AssemblyRules
    quiet_s: float
    deadline_s: float
    station_name: str
    destinations: tuple[DestinationPolicy, ...] = ()
    label: str = DEFAULT_LABEL
    retries: EvaluationRetries = field(default_factory=EvaluationRetries)
    hard_limit_s: float = 7200.0
    on_deadline: OnDeadline = OnDeadline.HOLD
    not_evaluable_report: bool = False

    @property
    def profiles(self) -> tuple[ResultProfile, ...]:
        """The profiles that results are made in, each once; one where they go nowhere."""
        wanted = dict.fromkeys(d.profile for d in self.destinations)
        return tuple(wanted) or (ResultProfile(label=self.label),)

    @property
    def routes(self) -> tuple[Route, ...]:
        """Where the objects of each profile go."""
        return tuple(Route(d.name, d.profile.digest, d.is_held) for d in self.destinations)

    @property
    def patience(self) -> Patience:
        """How long to wait for what."""
        return Patience(self.quiet_s, self.deadline_s, self.hard_limit_s, self.on_deadline)
