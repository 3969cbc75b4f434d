"""Which instances of a study contradict each other about whose images they are."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from mome_node.dicom.header import InstanceFacts
from mome_node.dicom.patient import same_name
from mome_node.fitness.checks import IDENTITY

Stated = Callable[[InstanceFacts], str]

PATIENT: dict[str, Stated] = {
    "Patient ID": lambda i: i.patient_id.strip(),
    "Issuer of Patient ID": lambda i: i.issuer_of_patient_id.strip(),
    "Patient's Birth Date": lambda i: i.patient_birth_date.strip(),
    "Patient's Name": lambda i: same_name(i.patient_name),
}
"""The elements that tell patients apart (PS3.3 C.7.1.1). An empty value is silent."""


def identity_contradictions(instances: Sequence[InstanceFacts]) -> tuple[str, ...]:
    """Ways in which one Study Instance UID holds more than one patient. Empty values are silent.

    The reasons name elements, never their values.
    """
    return tuple(
        f"[{IDENTITY.code}] two patients under one Study Instance UID: {count} values of {name}"
        for name, stated in PATIENT.items()
        if (count := len(_values(instances, stated))) > 1
    )


def accession_contradiction(instances: Sequence[InstanceFacts]) -> str | None:
    """Why results of these images could not be filed under one order.

    A result carries one Accession Number (0008,0050); under a wrong one the RIS never attaches it.
    """
    count = len(_values(instances, _accession))
    if count < 2:
        return None
    return f"{count} values of Accession Number among the images that would be read"


def of_another_patient(
    instances: Sequence[InstanceFacts], trusted: Collection[str] = ()
) -> tuple[str, ...]:
    """SOP Instance UIDs of the instances that contradict the study's patient.

    ``trusted`` are those that results were made of. Where there are none such, or they contradict
    each other, nobody knows who is right: all that state what is contested are named.
    """
    known = [i for i in instances if i.sop_instance_uid in trusted]
    if not known or identity_contradictions(known):
        known = []
    named = set()
    for stated in PATIENT.values():
        if len(_values(instances, stated)) < 2:
            continue
        right = _values(known, stated)
        named |= {i.sop_instance_uid for i in instances if stated(i) and stated(i) not in right}
    return tuple(sorted(named))


def of_another_accession(
    instances: Sequence[InstanceFacts], trusted: Collection[str] = ()
) -> tuple[str, ...]:
    """The same for the Accession Number."""
    if len(_values(instances, _accession)) < 2:
        return ()
    right = _values([i for i in instances if i.sop_instance_uid in trusted], _accession)
    if len(right) > 1:
        right = set()
    return tuple(
        sorted(
            i.sop_instance_uid for i in instances if _accession(i) and _accession(i) not in right
        )
    )


def _values(instances: Sequence[InstanceFacts], stated: Stated) -> set[str]:
    return {stated(i) for i in instances} - {""}


def _accession(facts: InstanceFacts) -> str:
    return facts.accession_number.strip()
