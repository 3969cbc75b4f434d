"""`model import`, `model show`, `model verify`, `model run`: model packages."""

from __future__ import annotations

import argparse
import shutil
import textwrap
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from mome_node.cli.arguments import add_command, add_json
from mome_node.cli.output import WRONG_USAGE, complain, progress, say, say_json
from mome_node.jobs.models import ModelChoice
from mome_node.volumes.volume import Modality

if TYPE_CHECKING:
    from mome_node.cli.arguments import Commands
    from mome_node.mome.package import ModelPackage

TASK_NAMES = ("malignancy", "tnbc", "pcr")

_LABEL_WIDTH = 17
_MAX_WIDTH = 110


def add_commands(commands: Commands) -> None:
    """Add `model` with its verbs."""
    parser = add_command(
        commands,
        "model",
        "import, show, verify or run a model package",
        "model verify demo",
        lambda _: WRONG_USAGE,  # argparse asks for a verb before it comes to this
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    make = add_command(
        verbs,
        "import",
        "a checkpoint in the authors' layout becomes a model package",
        "model import model.th --task malignancy --out ./package",
        import_checkpoint,
    )
    make.add_argument("checkpoint", type=Path, metavar="CKPT")
    make.add_argument("--task", choices=TASK_NAMES, required=True)
    make.add_argument("--out", type=Path, required=True, metavar="PKG")
    make.add_argument("--heads", type=int, help="attention heads, where the width does not tell")
    make.add_argument(
        "--size",
        type=_size,
        action="append",
        default=[],
        metavar="dce=384x256x128",
        help="input size x, y, z of a modality; once for each that is not the published one",
    )
    make.add_argument(
        "--prior",
        type=_probability,
        default=0.5,
        help="probability that contributions are counted from (0.5)",
    )
    card = add_command(
        verbs,
        "show",
        "print a package's card: what it states of its task, weights, images and thresholds",
        "model show ./package",
        show,
    )
    add_json(card)
    check = add_command(
        verbs,
        "verify",
        "check a package: digests, metadata, weights, and its stored run on this machine",
        "model verify ./package",
        verify,
    )
    run = add_command(
        verbs,
        "run",
        "run a package on arrays of the model's own sizes",
        "model run ./package --npz exam.npz --out scores.npz",
        run_arrays,
    )
    run.add_argument("--npz", type=Path, required=True, metavar="IN", help="dce, dwi, t2: any of")
    run.add_argument("--out", type=Path, required=True, metavar="OUT.npz")
    for verb in (card, check, run):
        verb.add_argument("package", metavar="PKG", help='a package\'s folder, or "demo"')


def import_checkpoint(options: argparse.Namespace) -> int:
    """Import a checkpoint."""
    from mome_node.mome.importing import import_package

    sizes = dict(options.size)
    if len(sizes) < len(options.size):
        complain("model", "--size: each modality once")
        return WRONG_USAGE
    with progress("importing"):
        package = import_package(
            options.checkpoint,
            options.out,
            task=options.task,
            heads=options.heads,
            sizes=sizes or None,
            prior=options.prior,
        )
    said = package.statement
    say(f"{said.name} {said.version} in {options.out}, digest {package.digest}")
    say(
        "preprocessing is this node's default, not the authors' (theirs is not published): "
        "see docs/README.md in the package"
    )
    return 0


def show(options: argparse.Namespace) -> int:
    """Print a package's card."""
    from mome_node.mome.package import ModelPackage

    package = ModelPackage.load(ModelChoice(options.package).path)
    if options.json:
        say_json(_as_json(package))
    else:
        _say_card(package)
    return 0


def _as_json(package: ModelPackage) -> dict[str, object]:
    said = package.statement
    return {
        "version": said.version,
        "digest": package.digest,
        "description": said.description,
        "authors": said.authors,
        "copyright": said.copyright,
        **said.to_json(),
        "network": asdict(package.config),
        "weights": [file.name for file in package.weights],
    }


def _say_card(package: ModelPackage) -> None:
    from mome_node.mome.card import RESEARCH_USE, facts

    said = package.statement
    width = min(_MAX_WIDTH, max(40, shutil.get_terminal_size().columns))
    say(f"{said.name} {said.version}")
    say(f"digest {package.digest}")
    say(RESEARCH_USE)
    say()
    for paragraph in said.description.split("\n\n"):
        for line in (*textwrap.wrap(paragraph.replace("**", ""), width), ""):
            say(line)
    indent = " " * _LABEL_WIDTH
    for label, text in facts(said, package.config, files=len(package.weights)):
        told = f"{label:<{_LABEL_WIDTH}}{text}"
        for line in textwrap.wrap(told, width, subsequent_indent=indent, break_on_hyphens=False):
            say(line)
    say()
    say(f"{said.authors}. {said.copyright}")


def verify(options: argparse.Namespace) -> int:
    """Verify a package."""
    from mome_node.mome.package import verify_package

    verification = verify_package(ModelChoice(options.package).path)
    model = verification.identity
    say(f"{model.name} {model.version}, digest {model.digest}")
    for line in verification.checks:
        say(f"ok  {line}")
    return 0


def run_arrays(options: argparse.Namespace) -> int:
    """Run a package on arrays."""
    from mome_node.mome.arrays import predict_arrays
    from mome_node.mome.package import ModelPackage

    package = ModelPackage.load(ModelChoice(options.package).path)
    said = package.statement
    prediction = predict_arrays(
        package.networks(),
        options.npz,
        options.out,
        positive_class=said.positive_index,
        prior=said.prior,
        temperature=said.calibration.temperature,
    )
    say(f"{said.positive_class}: {prediction.probability:.6f}")
    for modality, value in prediction.contributions:
        say(f"contribution {modality}: {value:+.6f}")
    return 0


def _size(text: str) -> tuple[Modality, tuple[int, int, int]]:
    name, _, numbers = text.partition("=")
    try:
        x, y, z = (int(n) for n in numbers.split("x"))
        return Modality(name), (x, y, z)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not MODALITY=XxYxZ with dce, dwi or t2, like dce=384x256x128"
        ) from error


def _probability(text: str) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from error
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text} does not lie between 0 and 1")
    return value
