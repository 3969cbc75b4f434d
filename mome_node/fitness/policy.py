"""What a failed check does, by what the package states, and how far the site may differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mome_node.errors import PackageError
from mome_node.fitness.checks import ADJUSTABLE, CHECKS, CODES, Check, Failure, Outcome
from mome_node.fitness.knowledge import Known


@dataclass(frozen=True, slots=True)
class Judgement:
    """One failed check and what it does."""

    code: str
    outcome: Outcome
    text: str


@dataclass(frozen=True, slots=True)
class PackageFitness:
    """What a package states: the outcome of some checks, and which of them a site may loosen.

    Raises PackageError for codes that are unknown or guard safety.
    """

    outcomes: Mapping[str, Outcome] = field(default_factory=dict)
    loosenable: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for where, codes in (("outcomes", self.outcomes), ("loosenable", self.loosenable)):
            for code in codes:
                if code in ADJUSTABLE:
                    continue
                told = "guards safety: it always refuses" if code in CODES else "is no check"
                raise PackageError(
                    f"mome.fitness.{where}: {code!r} {told}; allowed: {', '.join(ADJUSTABLE)}"
                )


@dataclass(frozen=True, slots=True)
class SiteFitness:
    """What a site states: the outcome of some checks, and what it knows of its studies."""

    outcomes: Mapping[str, Outcome] = field(default_factory=dict)
    known: tuple[Known, ...] = ()


@dataclass(frozen=True, slots=True)
class Policy:
    """What a failed check does for one package at one site."""

    package: PackageFitness = field(default_factory=PackageFitness)
    site: SiteFitness = field(default_factory=SiteFitness)

    def outcome(self, check: Check) -> Outcome:
        """The package's outcome; the site's where it is stricter, or may be looser."""
        if check.fixed:
            return check.outcome
        stated = self.package.outcomes.get(check.code, check.outcome)
        wanted = self.site.outcomes.get(check.code, stated)
        stricter = wanted.strictness >= stated.strictness
        return wanted if stricter or self._may_loosen(check) else stated

    def _may_loosen(self, check: Check) -> bool:
        """A package that states an outcome must say itself that a site may loosen it."""
        own = check.site_may_loosen and check.code not in self.package.outcomes
        return own or check.code in self.package.loosenable

    def judge(self, failures: Iterable[Failure]) -> tuple[Judgement, ...]:
        """What each failed check does, in the order of CHECKS; one judgement a text."""
        judged = {
            (f.check.code, f.text): Judgement(f.check.code, self.outcome(f.check), f.text)
            for f in failures
        }
        return tuple(sorted(judged.values(), key=lambda j: CODES.index(j.code)))

    @property
    def in_vain(self) -> tuple[str, ...]:
        """Codes that the site wants loosened and the package does not let it."""
        return tuple(
            check.code
            for check in CHECKS
            if check.code in self.site.outcomes
            and self.site.outcomes[check.code] is not self.outcome(check)
        )


def refusing(judgements: Iterable[Judgement]) -> tuple[Judgement, ...]:
    """Those that forbid the evaluation."""
    return tuple(j for j in judgements if j.outcome is Outcome.REFUSE)


def coded(judgement: Judgement) -> str:
    """A failed check as a study's reason has it, e.g. "[slice-gaps] slices lie ..."."""
    return f"[{judgement.code}] {judgement.text}"
