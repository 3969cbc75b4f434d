"""What a site may decide about assembly."""

from __future__ import annotations

from dataclasses import dataclass

from mome_node.assembly.plan import Role
from mome_node.assembly.role_rules import RoleRule

EVALUATED_ROLES = frozenset({Role.DCE, Role.DWI, Role.T2})


@dataclass(frozen=True, slots=True)
class AssemblyRules:
    """The site's conditions for an evaluation.

    ``required`` names the roles without which a study waits; ``min_posts`` the fewest
    post-contrast phases of a dynamic. A study older than ``max_study_age_days`` is kept and not
    evaluated. ``dwi_b_range`` in s/mm²: a diffusion image outside it is not the high-b image; of
    several within, the one nearest to ``preferred_b`` is, or without one the highest.
    ``min_width_mm`` is the left to right extent that a bilateral dynamic has at least.
    ``ultrafast_s``: phases that follow each other faster make an ultrafast run, taken only where
    there is no other dynamic. ``role_rules`` are the site's own, asked before the built-in table.
    """

    required: tuple[Role | str, ...] = (Role.DCE,)
    max_study_age_days: int = 14
    min_posts: int = 1
    dwi_b_range: tuple[float, float] = (500.0, 1500.0)
    preferred_b: float | None = None
    min_width_mm: float = 220.0
    ultrafast_s: float = 20.0
    role_rules: tuple[RoleRule, ...] = ()

    def __post_init__(self) -> None:
        unknown = sorted(str(r) for r in self.required if r not in EVALUATED_ROLES)
        if unknown:
            allowed = ", ".join(sorted(EVALUATED_ROLES))
            raise ValueError(f"required roles must be of {allowed}; found {', '.join(unknown)}")
        if self.max_study_age_days < 0 or self.min_posts < 1:
            raise ValueError("max_study_age_days must be 0 or more, min_posts 1 or more")
        if not 0 < self.dwi_b_range[0] <= self.dwi_b_range[1]:
            raise ValueError("dwi_b_range must be a lower and an upper b-value above 0")
