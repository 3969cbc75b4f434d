"""The node's settings: one frozen tree, read from node.toml and the environment.

``MOME_<SECTION>__<KEY>`` in the environment beats the file, the file beats the default. Every key
is declared here once, with its meaning: the file that ``mome-node init`` writes and
docs/settings.md are generated from this tree.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from sqlalchemy import URL, make_url

from mome_node.errors import SettingsError
from mome_node.settings_commitment import CommitmentSettings
from mome_node.settings_delivery import (
    DeliverySettings,
    DestinationSettings,
    delivery_contradictions,
    destination_contradictions,
    with_absolute_destination_files,
)
from mome_node.settings_dicom import (
    DicomSettings,
    StorageSettings,
    dicom_contradictions,
    storage_contradictions,
    with_absolute_files,
)
from mome_node.settings_faults import check_environment, faults, unknown_key
from mome_node.settings_pacs import (
    PacsSettings,
    archive_contradictions,
    with_absolute_pacs_files,
)
from mome_node.settings_studies import Condition as Condition
from mome_node.settings_studies import (
    FitnessSettings,
    SeriesRoleSettings,
    WhenSettings,
    fitness_contradictions,
)
from mome_node.settings_values import (
    AETitle,
    FolderPath,
    Label,
    Number,
    Section,
    SqliteUrl,
    Text,
)
from mome_node.settings_web import WebSettings, web_contradictions, with_absolute_web_files

ENV_PREFIX = "MOME_"
ENV_DELIMITER = "__"
MAX_FILE_BYTES = 1 << 20


class NodeSettings(Section):
    """Who this node is and where it keeps what it has."""

    ae_title: AETitle = Field("MOME", description="Our application entity title.")
    data_dir: FolderPath = Field(
        Path("./mome-data"),
        description="Where instances, results and the catalogue lie; relative to this file.",
    )
    label: Label = Field(
        "research use only, not for diagnosis",
        description="Printed in every result object and on every picture.",
    )


class DatabaseSettings(Section):
    """The catalogue's database."""

    url: SqliteUrl | None = Field(
        None,
        description="An SQLAlchemy URL of SQLite; by default catalog.db inside node.data_dir.",
    )


class AssemblySettings(Section):
    """When a study is complete, and which studies are evaluated at all."""

    quiet_s: Annotated[float, Number, Field(ge=0, le=86400)] = Field(
        60.0, description="A study is quiet when no new image came for so many seconds."
    )
    deadline_s: Annotated[float, Number, Field(gt=0, le=7 * 86400)] = Field(
        1800.0,
        description="What is still missing so long after a study's first image is not waited for.",
    )
    on_deadline: Literal["hold", "evaluate", "not_evaluable"] = Field(
        "hold",
        description="What becomes of a study that is incomplete then: kept and shown as held until "
        "more comes or somebody acts, evaluated with what is there and a warning in the result, or "
        "not evaluable.",
    )
    hard_limit_s: Annotated[float, Number, Field(gt=0, le=30 * 86400)] = Field(
        7200.0,
        description="A study that has never been quiet for so long after its first image is held.",
    )
    ask_pacs_every_s: Annotated[float, Number, Field(ge=0, le=3600)] = Field(
        15.0,
        description="Seconds between two questions to the PACS how many images a receiving study "
        "has; 0 never asks. Only where a PACS to ask is set.",
    )
    required: tuple[Literal["dce", "dwi", "t2"], ...] = Field(
        ("dce",), description="The series roles without which no study is evaluated."
    )
    max_study_age_days: Annotated[int, Number, Field(ge=0, le=36500)] = Field(
        14, description="Older studies are stored, and not evaluated."
    )


class InferenceSettings(Section):
    """The process that runs the models, one study at a time."""

    threads: Annotated[int, Number, Field(ge=0, le=1024)] = Field(
        0, description="Threads that a model computes with; 0 takes all cores."
    )
    time_limit_s: Annotated[float, Number, Field(gt=0, le=86400)] = Field(
        3600.0, description="An evaluation that takes longer is given up, and tried again later."
    )


class ModelSettings(Section):
    """A model package to run on every complete study that it holds for; one for each task."""

    package: Text = Field(
        description='The folder of a model package, or "demo": the bundled demonstration model.'
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="Where it runs; auto takes a GPU if there is one."
    )
    precision: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto",
        description="What it computes in; auto takes less than float32 only where the package's "
        "own test shows that it may.",
    )
    explain: Literal["auto", "voxels", "tokens", "off"] = Field(
        "auto",
        description="How regions are looked for: at the voxels, at the model's tokens, or not at "
        "all (off); auto takes the voxels of small models.",
    )
    asserts: tuple[Condition, ...] = Field(
        (),
        description="Conditions that the site vouches for, in studies that fit `when`. A package "
        "that asks for one does not run without; no score of any model stands in for it.",
    )
    when: WhenSettings = Field(
        WhenSettings(),
        description="The studies that `asserts` holds for: every pattern given is found, in any "
        "case, in the first 64 characters of what any of their images says. Empty: all studies.",
    )
    allow_synthetic_on_patients: bool = Field(
        False,
        description="Let a synthetic package evaluate real patients. Marks every result "
        "DEMONSTRATION.",
    )


class Settings(BaseSettings):
    """The whole tree."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_prefix=ENV_PREFIX,
        env_nested_delimiter=ENV_DELIMITER,
        case_sensitive=False,
    )

    node: NodeSettings = NodeSettings()
    dicom: DicomSettings = DicomSettings()
    storage: StorageSettings = StorageSettings()
    database: DatabaseSettings = DatabaseSettings()
    assembly: AssemblySettings = AssemblySettings()
    series_role: tuple[SeriesRoleSettings, ...] = ()
    fitness: FitnessSettings = FitnessSettings()
    inference: InferenceSettings = InferenceSettings()
    commitment: CommitmentSettings = CommitmentSettings()
    model: tuple[ModelSettings, ...] = (ModelSettings(package="demo"),)
    destination: tuple[DestinationSettings, ...] = ()
    delivery: DeliverySettings = DeliverySettings()
    pacs: tuple[PacsSettings, ...] = ()
    web: WebSettings = WebSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003  # pydantic-settings fixes the signature
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment before file (which arrives as init), and no other source."""
        return env_settings, init_settings

    @property
    def database_url(self) -> str:
        """Where the catalogue is."""
        return self.database.url or _sqlite_url(self.node.data_dir / "catalog.db")


def load_settings(path: Path) -> Settings:
    """Read node.toml and the environment.

    Relative paths are taken from the file's folder. Raises SettingsError with the key, what was
    found and what is allowed.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise SettingsError(f"{path}: larger than {MAX_FILE_BYTES >> 20} MiB; no settings file")
        # Editors on Windows begin a file with a byte order mark.
        data = tomllib.loads(content.decode("utf-8-sig"))
    except FileNotFoundError as error:
        raise SettingsError(f"{path}: no such file; `mome-node init` writes one") from error
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: not UTF-8 text, at byte {error.start}") from error
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{path}: cannot be read as TOML: {error}") from error
    return parse_settings(data, base=path.resolve().parent)


def parse_settings(data: Mapping[str, Any], *, base: Path) -> Settings:
    """The tree from what a file holds; relative paths are taken from ``base``."""
    problems = check_environment(os.environ, Settings, ENV_PREFIX, ENV_DELIMITER)
    # Names with an underscore would steer pydantic-settings itself.
    problems += [unknown_key((key,), Settings) for key in data if key.startswith("_")]
    if problems:
        raise SettingsError("\n".join(problems))
    try:
        settings = Settings(**data)
    except ValidationError as error:
        raise SettingsError("\n".join(faults(error, Settings))) from error
    settings = _absolute(settings, base)
    if contradictions := list(_contradictions(settings)):
        raise SettingsError("\n".join(contradictions))
    return settings


def _absolute(settings: Settings, base: Path) -> Settings:
    node = settings.node.model_copy(update={"data_dir": (base / settings.node.data_dir).resolve()})
    url = settings.database.url and make_url(settings.database.url).database
    database = settings.database.model_copy(
        update={"url": _sqlite_url((base / url).resolve()) if url else None}
    )
    models = tuple(
        m
        if m.package == "demo"
        else m.model_copy(update={"package": str((base / m.package).resolve())})
        for m in settings.model
    )
    dicom = with_absolute_files(settings.dicom, base)
    web = with_absolute_web_files(settings.web, base)
    update = {"node": node, "dicom": dicom, "web": web, "database": database, "model": models}
    around = {
        "pacs": tuple(with_absolute_pacs_files(p, base) for p in settings.pacs),
        "destination": tuple(
            with_absolute_destination_files(d, base) for d in settings.destination
        ),
    }
    return settings.model_copy(update=update | around)


def _sqlite_url(path: Path) -> str:
    return URL.create("sqlite", database=str(path)).render_as_string()


def _contradictions(settings: Settings) -> Iterator[str]:
    """What each value allows and all of them together do not."""
    yield from dicom_contradictions(settings.dicom)
    yield from storage_contradictions(settings.storage)
    yield from web_contradictions(settings.web)
    yield from archive_contradictions(settings.pacs)
    loose = [n for n, m in enumerate(settings.model) if m.allow_synthetic_on_patients]
    yield from delivery_contradictions(settings.delivery)
    yield from destination_contradictions(
        settings.destination, settings.pacs, settings.node.label, loose
    )
    packages = [m.package for m in settings.model]
    if len(set(packages)) < len(packages):
        yield f"model.package: found {packages}; allowed: each package once"
    for number, model in enumerate(settings.model):
        if model.when != WhenSettings() and not model.asserts:
            yield f"model.{number}.when: found patterns; allowed: none where asserts is empty"
    yield from fitness_contradictions(settings.fitness)
    rules = settings.assembly
    if rules.deadline_s < rules.quiet_s:
        yield (
            f"assembly.deadline_s: found {rules.deadline_s:g}; allowed: at least "
            f"assembly.quiet_s, which is {rules.quiet_s:g}"
        )
    if rules.hard_limit_s < rules.deadline_s:
        yield (
            f"assembly.hard_limit_s: found {rules.hard_limit_s:g}; allowed: at least "
            f"assembly.deadline_s, which is {rules.deadline_s:g}"
        )
