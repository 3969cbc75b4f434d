"""`analyze` and `series`: a folder of DICOM, no network."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from mome_node.assembly.rules import AssemblyRules
from mome_node.cli.arguments import add_command, add_json
from mome_node.cli.output import WRONG_USAGE, complain, progress, say, say_json, say_table
from mome_node.cli.series_table import tell_roles
from mome_node.dicom.header import InstanceFacts
from mome_node.dicom.header_reading import read_facts
from mome_node.errors import HeaderError, NodeError, SettingsError
from mome_node.jobs.models import DEMONSTRATION, ModelChoice
from mome_node.mome.statement import CONDITIONS
from mome_node.node import assembly_rules
from mome_node.settings import load_settings

if TYPE_CHECKING:
    from mome_node.assembly.plan import SeriesRole
    from mome_node.cli.arguments import Commands

MADE = (
    "sr.dcm",
    "seg.dcm",
    "findings.json",
    "slice.png",
    "overlay.png",
    "contributions.png",
    "debug-dce.png",
    "debug-dwi.png",
    "debug-t2.png",
)
"""What an analysis leaves; seg.dcm only where there is a region, the last three on demand."""


def add_commands(commands: Commands) -> None:
    """Add `analyze` and `series`."""
    parser = add_command(
        commands,
        "analyze",
        "evaluate the one study in DIR and write SR, SEG, pictures and findings.json to OUT",
        "analyze ./exam/dicom --out ./result",
        analyze,
    )
    parser.add_argument("dir", type=Path, metavar="DIR")
    parser.add_argument("--out", type=Path, required=True, metavar="OUT")
    parser.add_argument(
        "--model",
        action="append",
        metavar="PKG",
        help='a package\'s folder ("demo"); once for each task',
    )
    parser.add_argument(
        "--asserts",
        action="append",
        default=[],
        choices=CONDITIONS,
        metavar="CONDITION",
        help=f"say of this exam what a package asks for: {' or '.join(map(repr, CONDITIONS))}",
    )
    parser.add_argument(
        "--debug",
        action="store_true",
        help="write a picture of each step from the images to the model's arrays, too",
    )
    parser = add_command(
        commands,
        "series",
        "tell the role and the phases of every series in DIR (a folder, or one file), and why",
        "series ./exam/dicom --json",
        series,
    )
    parser.add_argument("dir", type=Path, metavar="DIR", nargs="?")
    parser.add_argument(
        "--table",
        type=Path,
        metavar="IN.csv[.gz]",
        help="instead of DIR: a table of series attributes; OUT gets role, phase and reason",
    )
    parser.add_argument("--out", type=Path, metavar="OUT.csv[.gz]", help="with --table")
    parser.add_argument(
        "--config", type=Path, help="a settings file, for its assembly settings and series_role"
    )
    add_json(parser)


def analyze(options: argparse.Namespace) -> int:
    """Evaluate a folder."""
    from mome_node.jobs.evaluate_study import evaluate_study, sources_from
    from mome_node.jobs.models import load_models
    from mome_node.jobs.requests import EvaluationRequest, NotEvaluated

    if options.out.resolve() == options.dir.resolve():
        sys.stderr.write(
            "mome-node analyze: OUT is DIR; results must not lie among their sources\n"
        )
        return WRONG_USAGE
    found = _read_folder(options.dir, without={(options.out / name).resolve() for name in MADE})
    if (problem := _several(found.facts)) is not None:
        complain("analyze", problem)
        return WRONG_USAGE
    by_uid = {facts.sop_instance_uid: path for path, facts in found.by_path.items()}
    if len(by_uid) < len(found.by_path):
        raise HeaderError("different files claim to be one instance (the same SOP Instance UID)")
    with progress("loading the model"):
        models = load_models(
            [
                ModelChoice(package, asserts=tuple(options.asserts))
                for package in options.model or (DEMONSTRATION,)
            ]
        )
    options.out.mkdir(parents=True, exist_ok=True)
    with (
        TemporaryDirectory(prefix=".analysis-", dir=options.out) as unfinished,
        progress("reading") as bar,
    ):
        request = EvaluationRequest(
            study_uid=found.facts[0].study_uid,
            revision=0,
            instances=sources_from(by_uid),
            # Somebody who names a folder has decided that it is to be evaluated, however old.
            rules=AssemblyRules(max_study_age_days=36500),
            station_name="MOME",
            recorded_at=_arrived_at(found.by_path),
            out_dir=Path(unfinished),
            pictures=True,
            debug=options.debug,
        )
        task = bar.task_ids[0]
        outcome = evaluate_study(request, models, lambda step: bar.update(task, description=step))
        if isinstance(outcome, NotEvaluated):
            raise NodeError(f"not evaluable: {outcome.reason}")
        made = _replace_results(Path(unfinished), options.out)
    for path in made:
        say(str(path))
    return 0


def _replace_results(made: Path, out: Path) -> list[Path]:
    """Move results to where they were asked for; none of an earlier analysis stays beside them."""
    for name in MADE:
        (out / name).unlink(missing_ok=True)
    return [Path(shutil.move(path, out / path.name)) for path in sorted(made.iterdir())]


def series(options: argparse.Namespace) -> int:
    """Tell the roles of all series."""
    from mome_node.assembly.series import series_roles

    if (options.table is None) == (options.dir is None) or bool(options.out) != bool(options.table):
        sys.stderr.write("usage: mome-node series DIR, or mome-node series --table IN --out OUT\n")
        return WRONG_USAGE
    rules = _rules(options.config)
    if options.table is not None:
        rows = tell_roles(options.table, options.out, rules)
        say(f"{rows} series in {options.out}")
        return 0
    found = _read_folder(options.dir)
    roles: list[SeriesRole] = []
    for study in dict.fromkeys(i.study_uid for i in found.facts):
        of_study = [i for i in found.facts if i.study_uid == study]
        roles += series_roles(of_study, rules)
    if options.json:
        say_json([_series_json(role) for role in roles])
        return 0
    say_table(
        ("number", "description", "role", "volumes", "reason", "problems"),
        [
            (
                "" if r.series_number is None else r.series_number,
                r.description,
                r.role.value,
                _volumes(r),
                r.reason,
                "; ".join(r.problems),
            )
            for r in roles
        ],
    )
    return 0


def _rules(config: Path | None) -> AssemblyRules:
    return AssemblyRules() if config is None else assembly_rules(load_settings(config))


class _Folder:
    """The DICOM instances below a folder; what is no DICOM is counted, not read."""

    def __init__(self, by_path: dict[Path, InstanceFacts]) -> None:
        self.by_path = by_path
        self.facts = tuple(by_path.values())


def _read_folder(folder: Path, without: Collection[Path] = ()) -> _Folder:
    if not folder.exists():
        raise SettingsError(f"{folder}: no such folder or file")
    paths = sorted(p for p in folder.rglob("*") if p.is_file()) if folder.is_dir() else [folder]
    paths = [path for path in paths if path.resolve() not in without]
    by_path: dict[Path, InstanceFacts] = {}
    seen: dict[str, InstanceFacts] = {}
    unreadable = copies = 0
    with progress("reading headers", total=len(paths)) as bar:
        for path in paths:
            try:
                facts = read_facts(path)
            except HeaderError:
                unreadable += 1
            else:
                if seen.get(facts.sop_instance_uid) == facts:
                    copies += 1
                else:
                    seen[facts.sop_instance_uid] = facts
                    by_path[path] = facts
            bar.advance(bar.task_ids[0])
    for count, what in ((unreadable, "no readable DICOM"), (copies, "copies")):
        if count:
            sys.stderr.write(f"left out: {count} {'file' if count == 1 else 'files'}, {what}\n")
    if not by_path:
        raise HeaderError(f"{folder} holds no readable DICOM file")
    return _Folder(by_path)


def _arrived_at(paths: Iterable[Path]) -> datetime:
    """When the last file came: the same folder gives the same objects, byte for byte."""
    last = max(path.stat().st_mtime for path in paths)
    return datetime.fromtimestamp(int(last), UTC).astimezone()


def _several(facts: Sequence[InstanceFacts]) -> str | None:
    """The studies and patients, where there is more than one."""
    studies = dict.fromkeys((i.study_uid, i.patient_id) for i in facts)
    if len(studies) == 1:
        return None
    listed = "\n".join(f"  study {uid}, patient {patient!r}" for uid, patient in studies)
    return f"several studies or patients; name a folder with one:\n{listed}"


def _volumes(role: SeriesRole) -> str:
    """How many volumes, and their phases with the seconds after the pre-contrast one."""
    phases = [
        f"phase {s.phase}" + ("" if s.time_s is None else f" at {s.time_s:.0f} s")
        for s in role.stacks
        if s.phase is not None
    ]
    return f"{len(role.stacks)}: {', '.join(phases)}" if phases else str(len(role.stacks))


def _series_json(role: SeriesRole) -> dict[str, object]:
    return {
        "SeriesInstanceUID": role.series_uid,
        "SeriesDescription": role.description,
        "role": role.role.value,
        "reason": role.reason,
        "volumes": [
            {
                "phase": stack.phase,
                "b_value": stack.b_value,
                "time_s": stack.time_s,
                "slices": len(stack.frames),
            }
            for stack in role.stacks
        ],
        "problems": list(role.problems),
    }
