"""What `check` says of destinations: what of the results will not arrive, and what to do then."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from mome_node.cli import door_checks
from mome_node.delivery.probe import Acceptance, probe
from mome_node.errors import NodeError
from mome_node.node_delivery import (
    archive_of,
    dimse_peer,
    limiters_of,
    profile_of,
    stow_sender,
)
from mome_node.results.classes import STORAGE_CLASSES, transfer_syntaxes
from mome_node.results.profile import KINDS, Encoding, Kind, ResultProfile
from mome_node.settings import Settings
from mome_node.settings_delivery import DestinationSettings, verifier_of
from mome_node.settings_pacs import PacsSettings

if TYPE_CHECKING:
    from mome_node.cli.install import Verdict

NAMES: Final[dict[Kind, str]] = {
    "sr": "Comprehensive 3D SR",
    "seg": "Segmentation",
    "summary": "Secondary Capture",
    "map": "Parametric Map",
    "key_objects": "Key Object Selection",
}
_NOT_ASKED: Final = (
    "whose study it is there cannot be asked, and without that nothing is sent; set verify to a "
    '[[pacs]], or to "none"'
)
_NOBODY_ASKED: Final = (
    'verify = "none": whose study it is there is not checked before results are sent'
)


def destinations(settings: Settings) -> Iterator[Verdict]:
    """Whether each destination takes what it is to get."""
    for destination in settings.destination:
        probed = _web if destination.kind == "dicomweb" else _dimse
        try:
            for works, words in (*probed(destination, settings), *_said(destination)):
                yield works, f"{destination.name}: {words}"
        except NodeError as error:
            words = str(error)
            named = words if words.startswith(destination.name) else f"{destination.name}: {words}"
            yield False, named
        yield from door_checks.secret(destination.name, destination.token_file)
    if not settings.destination:
        yield None, "no destination is configured: results stay in the node"


def _said(destination: DestinationSettings) -> Iterator[Verdict]:
    """What the settings alone say, and should be known."""
    if destination.visibility == "held":
        words = "results are kept in the node until they are let go"
        yield None, f'visibility = "held": {words}; "research" or "clinical" sends them'
    if destination.kind == "dimse" and destination.ca_file and not destination.tls:
        yield None, "ca_file is set and tls is not: results cross the network in the clear"


def _dimse(destination: DestinationSettings, settings: Settings) -> Iterator[Verdict]:
    peer = dimse_peer(destination, settings, datetime.now(UTC))
    profile = profile_of(destination, settings.node.label)
    encodings: tuple[Encoding, ...] = (profile.encoding, "explicit")
    taken = probe(
        peer,
        (
            (STORAGE_CLASSES[kind], syntax)
            for kind in KINDS
            for encoding in encodings
            for syntax in transfer_syntaxes(kind, encoding)
        ),
    )
    answered = "reached" if taken.echo_ms is None else f"answered C-ECHO in {taken.echo_ms:.0f} ms"
    arriving = [kind for kind in profile.objects if _takes(taken, kind, profile.encoding)]
    what = f"takes {', '.join(arriving)}" if arriving else "takes nothing of what is to be sent"
    yield bool(arriving), f"{peer.ae_title} at {peer.host}:{peer.port}: {answered}, {what}"
    yield from _missing(taken, profile, arriving)
    yield from _confirmed(destination, settings, taken)


def _takes(taken: Acceptance, kind: Kind, encoding: Encoding) -> bool:
    return taken.takes(STORAGE_CLASSES[kind], transfer_syntaxes(kind, encoding))


def _missing(
    taken: Acceptance, profile: ResultProfile, arriving: Sequence[Kind]
) -> Iterator[Verdict]:
    """What will not arrive, and what to choose instead."""
    missing = [kind for kind in profile.objects if kind not in arriving]
    packed = [kind for kind in missing if _takes(taken, kind, "explicit")]
    if packed:
        words = f"takes no {_named(packed)} in RLE, and {_listed(packed)} will not arrive"
        yield False, f'{words}: choose encoding = "explicit"'
    refused = [kind for kind in missing if kind not in packed]
    if refused:
        instead = [kind for kind in KINDS if kind in arriving or kind in packed]
        if not instead and _takes(taken, "summary", "explicit"):
            instead = ["summary"]
        choice = f", or choose objects = {json.dumps(instead)}" if instead else ""
        words = f"takes no {_named(refused)}, and {_listed(refused)} will not arrive"
        yield False, f"{words}: have it take that{choice}"
    if "key_objects" not in profile.objects and not _takes(taken, "key_objects", "explicit"):
        words = "no rejection note (IHE IOCM) can tell it that earlier results hold no more"
        yield None, f"takes no Key Object Selection: {words}"


def _confirmed(
    destination: DestinationSettings, settings: Settings, taken: Acceptance
) -> Iterator[Verdict]:
    """How it is known whose study it is there, and that results arrived."""
    asked = verifier_of(destination, settings.pacs)
    way = f"by asking {asked.name}" if isinstance(asked, PacsSettings) else "by C-FIND"
    if asked is destination and not taken.find:
        yield False, f"takes no C-FIND: {_NOT_ASKED}"
        asked = None
    elif asked is None:
        yield None, _NOBODY_ASKED
    else:
        yield True, f"whose study it is there is checked {way}"
    if destination.commitment and taken.commitment:
        yield True, "takes requests for storage commitment"
    elif destination.commitment:
        confirmed = f"results are confirmed {way}" if asked else "nothing confirms results"
        yield None, f"takes no storage commitment: {confirmed}"


def _web(destination: DestinationSettings, settings: Settings) -> Iterator[Verdict]:
    yield True, f"{destination.url}: {stow_sender(destination).probe()}"
    asked = verifier_of(destination, settings.pacs)
    if asked is None:
        yield None, _NOBODY_ASKED
        return
    if asked is not destination:
        yield True, f"whose study it is there is checked by asking {asked.name}"
        return
    query = archive_of(destination, settings, datetime.now(UTC), limiters_of(settings))
    try:
        words = query.probe() if query else ""
    except NodeError as error:
        yield False, f"QIDO-RS: {error}: {_NOT_ASKED}"
        return
    yield True, f"{words}, by which is checked whose study it is there"


def _named(kinds: Sequence[Kind]) -> str:
    return " and no ".join(NAMES[kind] for kind in kinds)


def _listed(kinds: Sequence[Kind]) -> str:
    return " and ".join(kinds)
