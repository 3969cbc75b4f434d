"""Who decides what a failed check does: safety first, then the package, then the site."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mome_node.dicom.header import InstanceFacts
from mome_node.errors import PackageError
from mome_node.fitness.checks import ADJUSTABLE, CHECKS, CODES, Failure, Outcome
from mome_node.fitness.knowledge import (
    FACTS,
    NOT_ASSESSED,
    TOPICS,
    Known,
    known_of,
    not_assessed,
)
from mome_node.fitness.policy import PackageFitness, Policy, SiteFitness, coded, refusing

OUTCOMES = st.sampled_from(Outcome)
BY_CODE = {check.code: check for check in CHECKS}
IMAGE = InstanceFacts("1.1", "1.2", "1", "1.3", study_description="MR breast, implants in situ")


def packages() -> st.SearchStrategy[PackageFitness]:
    return st.builds(
        PackageFitness,
        st.dictionaries(st.sampled_from(ADJUSTABLE), OUTCOMES),
        st.lists(st.sampled_from(ADJUSTABLE), unique=True).map(tuple),
    )


def sites() -> st.SearchStrategy[SiteFitness]:
    """Also with codes that no setting would take: the policy alone must hold."""
    return st.builds(SiteFitness, st.dictionaries(st.sampled_from(CODES), OUTCOMES))


# The table


def test_codes_are_stable_words_and_meanings_fit_a_coded_concept() -> None:
    assert len(set(CODES)) == len(CODES)
    for check in CHECKS:
        assert check.code == check.code.lower()
        assert check.code.replace("-", "").isalpha()
        assert len(check.meaning) <= 64
        assert check.failed_by


def test_what_guards_safety_always_refuses() -> None:
    fixed = {check.code for check in CHECKS if check.fixed}
    assert {"identity-contradictory", "synthetic-weights", "no-breasts-in-image"} <= fixed
    assert all(check.outcome is Outcome.REFUSE for check in CHECKS if check.fixed)
    assert not any(check.site_may_loosen for check in CHECKS if check.fixed)


# Policy


@given(package=packages(), site=sites())
def test_neither_package_nor_site_ever_loosens_a_check_that_guards_safety(
    package: PackageFitness, site: SiteFitness
) -> None:
    policy = Policy(package, site)
    assert all(policy.outcome(c) is Outcome.REFUSE for c in CHECKS if c.fixed)


@given(package=packages(), site=sites())
def test_a_site_loosens_only_what_the_package_lets_it_and_may_be_stricter(
    package: PackageFitness, site: SiteFitness
) -> None:
    for check in CHECKS:
        alone, together = Policy(package).outcome(check), Policy(package, site).outcome(check)
        wanted = site.outcomes.get(check.code, alone)
        if together.strictness < alone.strictness:
            assert check.code in package.loosenable or (
                check.site_may_loosen and check.code not in package.outcomes
            )
        if wanted.strictness >= alone.strictness and not check.fixed:
            assert together is wanted
        assert together in (alone, wanted)


@given(package=packages(), site=sites())
def test_what_a_site_asked_for_in_vain_is_told(package: PackageFitness, site: SiteFitness) -> None:
    policy = Policy(package, site)
    vain = {c for c, wanted in site.outcomes.items() if policy.outcome(BY_CODE[c]) is not wanted}
    assert set(policy.in_vain) == vain


@pytest.mark.parametrize(
    ("code", "told"),
    [("slice-gap", "is no check"), ("no-breasts-in-image", "guards safety")],
)
@pytest.mark.parametrize("where", ["outcomes", "loosenable"])
def test_a_package_names_only_checks_that_may_be_adjusted(code: str, told: str, where: str) -> None:
    stated = {code: Outcome.WARN} if where == "outcomes" else (code,)
    with pytest.raises(PackageError, match=rf"mome\.fitness\.{where}: '{code}' {told}"):
        PackageFitness(**{where: stated})


def test_judgements_come_in_the_order_of_the_table_once_each() -> None:
    failures = [Failure(check, "words") for check in reversed(CHECKS)] * 2
    judged = Policy().judge(failures)
    assert tuple(j.code for j in judged) == CODES
    assert refusing(judged)[0].code == "identity-contradictory"
    assert coded(judged[0]) == "[identity-contradictory] words"


# What a site knows


def test_what_the_site_knows_of_a_study_is_no_longer_called_not_assessed() -> None:
    rules = (
        Known(("implants",), (("study_description", "implant"),)),
        Known(("lactation",), (("study_description", "lactating"),)),
        Known(("no recent biopsy",)),
    )
    known = known_of(rules, [IMAGE])
    assert known == ("implants", "no recent biopsy")
    told = not_assessed(known)
    assert "recent biopsy" not in told
    assert not any("implants" in t for t in told)
    assert {"lactation", "contrast dose", "motion between the phases"} <= set(told)


def test_nothing_known_leaves_all_unassessed() -> None:
    assert known_of((), [IMAGE]) == ()
    assert not_assessed(()) == NOT_ASSESSED


@given(st.lists(st.builds(Known, st.lists(st.sampled_from(FACTS)).map(tuple))))
def test_of_two_contradicting_rules_the_cautious_one_holds(rules: list[Known]) -> None:
    known = known_of(rules, [IMAGE])
    said = {fact for rule in rules for fact in rule.facts}
    assert set(known) <= said
    for topic in TOPICS:
        if topic.name in said:
            assert topic.name in known
            assert f"no {topic.name}" not in known
