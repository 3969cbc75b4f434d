"""From an authors' checkpoint to a model package."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mome_node.errors import CheckpointError, ModelError
from mome_node.mome.checkpoint import import_checkpoint
from mome_node.mome.config import ModelConfig
from mome_node.mome.package import ModelPackage, write_package
from mome_node.mome.preprocess_spec import default_spec
from mome_node.mome.statement import BEFORE_TREATMENT, HISTOLOGY_PROVEN, Statement
from mome_node.volumes.volume import Modality


@dataclass(frozen=True, slots=True)
class Task:
    """What the two classes of one of the authors' heads mean; the second is the positive one.

    ``applies_when``: on whom the authors trained it, which a site must assert.
    """

    name: str
    classes: tuple[str, str]
    label_definition: str
    applies_when: tuple[str, ...] = ()


TASKS = (
    Task(
        "malignancy",
        ("not malignant", "malignant"),
        "Malignant against not malignant, one label a row of the authors' tables; whether a row "
        "is a patient or a breast is not published.",
    ),
    Task(
        "tnbc",
        ("other subtype", "triple-negative"),
        "Triple-negative breast cancer against every other molecular subtype.",
        applies_when=(HISTOLOGY_PROVEN,),
    ),
    Task(
        "pcr",
        ("no pathological complete response", "pathological complete response"),
        "Miller-Payne grade 5 after neoadjuvant chemotherapy. It allows residual DCIS and says "
        "nothing of lymph nodes, so it is not ypT0/is ypN0; a missing grade counted as no "
        "response.",
        applies_when=(HISTOLOGY_PROVEN, BEFORE_TREATMENT),
    ),
)

_LICENSE = """\
The checkpoint that these weights were imported from states no licence. Whoever received it knows
the terms; they bind every use of this package.
"""

_DESCRIPTION = "MOME (Luo et al., Nature Communications 2025), imported from a checkpoint."

_DEFAULT_PREPROCESSING = """\


**The preprocessing is this node's default and not the authors'**, whose own is not published: how
their images were cropped, resampled and normalised is unknown. Scores under it are not the
published model's scores.\
"""


def import_package(
    checkpoint: Path,
    target: Path,
    *,
    task: str,
    preprocessing: Callable[[ModelConfig], Mapping[str, Any]] | None = None,
    heads: int | None = None,
    sizes: Mapping[Modality, tuple[int, int, int]] | None = None,
    prior: float = 0.5,
    license_text: str = _LICENSE,
) -> ModelPackage:
    """Import a checkpoint in the authors' layout as a model package (``mome-node model import``).

    ``heads`` and ``sizes`` default to the published ones; everything else is read off the weights.
    ``preprocessing`` says what the package states for a network of these sizes; without it, this
    node's default is stated, and the package's description says that it is not the authors'. Of a
    checkpoint no operating point, calibration or accepted vendor is known, so none is stated.
    Raises CheckpointError for weights that cannot be imported, PackageError if ``target`` exists.
    """
    meaning = _task_named(task)
    network = import_checkpoint(checkpoint, heads=heads, sizes=sizes)
    if network.config.classes != len(meaning.classes):
        raise CheckpointError(
            f"the head has {network.config.classes} classes; {task} has {len(meaning.classes)}"
        )
    statement = Statement(
        name=f"mome-{task}",
        version="1",
        task=task,
        classes=meaning.classes,
        positive_class=meaning.classes[1],
        label_definition=meaning.label_definition,
        synthetic=False,
        preprocessing=(preprocessing or _default)(network.config),
        prior=prior,
        applies_when=meaning.applies_when,
        description=_DESCRIPTION + ("" if preprocessing else _DEFAULT_PREPROCESSING),
        authors="not stated in the checkpoint",
        copyright="not stated in the checkpoint",
    )
    return write_package(target, network, statement, license_text=license_text)


def _default(config: ModelConfig) -> Mapping[str, Any]:
    return default_spec(config).to_json()


def _task_named(name: str) -> Task:
    for task in TASKS:
        if task.name == name:
            return task
    raise ModelError(f"unknown task {name!r}; known: {', '.join(task.name for task in TASKS)}")
