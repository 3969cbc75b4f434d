"""`init` and `check`: set a node up, and look whether it would work."""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from mome_node.catalog.catalog import Catalog
from mome_node.cli import destination_checks, door_checks
from mome_node.cli.arguments import add_command, add_config
from mome_node.cli.output import say
from mome_node.errors import NodeError, SettingsError
from mome_node.node import inference_process
from mome_node.node_delivery import archive, limiters_of
from mome_node.settings import Settings, load_settings
from mome_node.settings_file import default_settings_file

if TYPE_CHECKING:
    from mome_node.cli.arguments import Commands

LOW_DISK_BYTES = 20 << 30
SYNTHETIC_ONLY = (
    "it evaluates only exams marked Synthetic Data; a real patient's study ends as not evaluable "
    "(no clinical model installed)"
)


def add_commands(commands: Commands) -> None:
    """Add `init` and `check`."""
    parser = add_command(
        commands, "init", "write a commented node.toml into DIR", "init /etc/mome-node", init
    )
    parser.add_argument("dir", type=Path, nargs="?", default=Path(), metavar="DIR")
    parser = add_command(
        commands,
        "check",
        "test settings, database, storage, model packages, device and every peer",
        "check --config node.toml",
        check,
    )
    add_config(parser)


def init(options: argparse.Namespace) -> int:
    """Write node.toml; never over one that is there."""
    path = options.dir / "node.toml"
    options.dir.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(default_settings_file())
    except FileExistsError as error:
        raise SettingsError(f"{path} exists; it is left as it is") from error
    say(f"wrote {path}")
    say(f"next: edit it, then `mome-node check --config {path}`")
    return 0


def check(options: argparse.Namespace) -> int:
    """Test everything that the node needs, each in a line; 1 if anything would not work."""
    settings = load_settings(options.config)
    say(f"ok       settings: {options.config}")
    works = True
    for name, test in (
        ("storage", _storage),
        ("database", _database),
        ("alarms", door_checks.alarms),
        ("tls", door_checks.tls),
        ("limits", door_checks.limits),
        ("models", _models),
        ("peers", _peers),
        ("archives", _archives),
        ("destinations", destination_checks.destinations),
    ):
        for good, words in _tested(test, settings):
            works &= good is not False
            say(f"{'ok' if good else 'note' if good is None else 'FAILED':<8} {name}: {words}")
    return 0 if works else 1


Verdict = tuple[bool | None, str]
"""True: works; False: does not; None: works, but should be known."""


def _tested(test: Callable[[Settings], Iterator[Verdict]], settings: Settings) -> Iterator[Verdict]:
    try:
        yield from test(settings)
    except (NodeError, OSError) as error:
        yield False, str(error)


def _storage(settings: Settings) -> Iterator[Verdict]:
    folder = settings.node.data_dir
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as probe:
        probe.write(b"check")
        probe.flush()
    free = shutil.disk_usage(folder).free
    enough = True if free > LOW_DISK_BYTES else None
    yield enough, f"{folder} can be written, {free / 2**30:.0f} GiB free"
    yield from door_checks.room(settings)


def _database(settings: Settings) -> Iterator[Verdict]:
    with Catalog.open(settings.database_url) as catalog:
        yield True, f"{len(catalog.studies())} studies known"
        if catalog.paused():
            yield None, "evaluation and delivery are paused; `mome-node resume` ends that"


def _models(settings: Settings) -> Iterator[Verdict]:
    worker = inference_process(settings)
    try:
        models = worker.start()
    finally:
        worker.stop()
    for m in models:
        where = f"on {m.device} in {m.precision}"
        yield True, f"{m.name} {m.version} ({m.task}) {where}, digest {m.digest[:12]}"
        if missing := [f'"{c}"' for c in m.applies_when if c not in m.asserts]:
            yield (
                None,
                (
                    f"{m.name} will evaluate nothing: it holds only for {' and '.join(missing)}; "
                    "where that is so, say it with `asserts` (and `when`) of its [[model]]"
                ),
            )
        if m.fitness.in_vain:
            codes = ", ".join(m.fitness.in_vain)
            yield None, f"{m.name} does not let a site loosen {codes}: it refuses or warns"
        if m.synthetic and m.allow_synthetic_on_patients:
            yield (
                None,
                f"{m.name} is a demonstration, and the settings let it evaluate real patients",
            )
        elif m.synthetic:
            yield (
                None,
                f"{m.name} is synthetic: {SYNTHETIC_ONLY}",
            )
    if not models:
        yield None, "no model is configured: no study will be evaluated"


def _peers(settings: Settings) -> Iterator[Verdict]:
    dicom = settings.dicom
    if dicom.allow_any_peer:
        yield None, "dicom.allow_any_peer is true: anybody may send"
    elif not dicom.allowed_peers:
        yield None, "dicom.allowed_peers is empty: only this machine may send"
    yield from door_checks.names(settings)


def _archives(settings: Settings) -> Iterator[Verdict]:
    limiters = limiters_of(settings)
    for pacs in settings.pacs:
        where = pacs.url or f"{pacs.ae} at {pacs.host}:{pacs.port}"
        try:
            query, _ = archive(pacs, settings, limiters[pacs.name])
            yield True, f"{pacs.name} ({where}): {query.probe()}"
        except NodeError as error:
            yield False, f"{pacs.name}: {error}"
        yield from door_checks.secret(pacs.name, pacs.token_file)
