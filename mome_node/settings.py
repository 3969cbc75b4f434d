"""The node's settings: one frozen tree, read from node.toml and the environment.

``MOME_<SECTION>__<KEY>`` in the environment beats the file, the file beats the default. Every key
is declared here once, with its meaning: the file that ``mome-node init`` writes and
docs/settings.md are generated from this tree.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from mome_node.errors import SettingsError

ENV_PREFIX = "MOME_"
ENV_DELIMITER = "__"

AETitle = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=16, pattern=r"^[ -\[\]-~]+$"),
]
"""An application entity title: 1 to 16 ASCII characters without backslash (PS3.5 6.2)."""

Port = Annotated[int, Field(ge=1, le=65535)]
Host = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=255)]


class Section(BaseModel):
    """A part of the tree: frozen, and closed to keys that nobody declared."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


class NodeSettings(Section):
    """Who this node is and where it keeps what it has."""

    ae_title: AETitle = Field("MOME", description="Our application entity title.")
    data_dir: Path = Field(
        Path("./mome-data"),
        description="Where instances, results and the catalogue lie; relative to this file.",
    )
    label: Annotated[str, StringConstraints(strip_whitespace=True, min_length=8, max_length=40)] = (
        Field(
            "research use only, not for diagnosis",
            description="Printed in every result object and on every picture.",
        )
    )


class Peer(Section):
    """A system that may send to us."""

    ae: AETitle = Field(description="Its calling AE title.")
    host: Host = Field(description="The address that it calls from.")


class DicomSettings(Section):
    """The DICOM receiver."""

    host: Host = Field("0.0.0.0", description="The address to listen on.")  # noqa: S104  # a PACS is another machine
    port: Port = Field(11112, description="The port to listen on.")
    allowed_peers: tuple[Peer, ...] = Field(
        (),
        description="Who may send, by calling AE title and address. Loopback always may.",
    )
    allow_any_peer: bool = Field(
        False, description="Let anybody send who calls us by our AE title. Not for a hospital."
    )
    max_associations: Annotated[int, Field(ge=1, le=1000)] = Field(
        25, description="Associations served at the same time; further ones are rejected."
    )
    network_timeout_s: Annotated[float, Field(gt=0, le=3600)] = Field(
        60.0, description="An association that says nothing for so long is aborted."
    )
    max_instance_mb: Annotated[int, Field(ge=1, le=16384)] = Field(
        2048, description="Larger data sets are refused."
    )


class DatabaseSettings(Section):
    """The catalogue's database."""

    url: str | None = Field(
        None,
        description="An SQLAlchemy URL of SQLite; by default catalog.db inside node.data_dir.",
    )


class AssemblySettings(Section):
    """When a study is complete, and which studies are evaluated at all."""

    quiet_s: Annotated[float, Field(ge=0, le=86400)] = Field(
        60.0, description="A study is quiet when no new image came for so many seconds."
    )
    deadline_s: Annotated[float, Field(gt=0, le=7 * 86400)] = Field(
        1800.0,
        description="A study that is not complete so long after its first image is not evaluable.",
    )
    required: tuple[Literal["dce", "dwi", "t2"], ...] = Field(
        ("dce",), description="The series roles without which no study is evaluated."
    )
    max_study_age_days: Annotated[int, Field(ge=0, le=36500)] = Field(
        14, description="Older studies are stored, and not evaluated."
    )


class ModelSettings(Section):
    """A model package to run on every complete study."""

    package: str = Field(
        description='The folder of a model package, or "demo": the bundled demonstration model.'
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="Where it runs; auto takes a GPU if there is one."
    )
    allow_synthetic_on_patients: bool = Field(
        False,
        description="Let a synthetic package evaluate real patients. Marks every result "
        "DEMONSTRATION.",
    )


class DestinationSettings(Section):
    """A PACS that results are sent to."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=64)] = Field(
        description="What we call it."
    )
    kind: Literal["dimse"] = Field("dimse", description="How we reach it: C-STORE.")
    ae: AETitle = Field(description="Its AE title.")
    host: Host = Field(description="Its address.")
    port: Port = Field(description="Its port.")


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
    database: DatabaseSettings = DatabaseSettings()
    assembly: AssemblySettings = AssemblySettings()
    model: tuple[ModelSettings, ...] = (ModelSettings(package="demo"),)
    destination: tuple[DestinationSettings, ...] = ()

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
        return self.database.url or f"sqlite:///{self.node.data_dir / 'catalog.db'}"


def load_settings(path: Path) -> Settings:
    """Read node.toml and the environment.

    Relative paths are taken from the file's folder. Raises SettingsError with the key, what was
    found and what is allowed.
    """
    try:
        with path.open("rb") as file:
            data = tomllib.load(file)
    except FileNotFoundError as error:
        raise SettingsError(f"{path}: no such file; `mome-node init` writes one") from error
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read as TOML: {error}") from error
    return parse_settings(data, base=path.resolve().parent)


def parse_settings(data: Mapping[str, Any], *, base: Path) -> Settings:
    """The tree from what a file holds; relative paths are taken from ``base``."""
    _refuse_unknown_environment(os.environ)
    try:
        settings = Settings(**data)
    except ValidationError as error:
        raise SettingsError("\n".join(_explain(error))) from error
    names = [d.name for d in settings.destination]
    if len(set(names)) < len(names):
        raise SettingsError(f"destination.name: found {names}; allowed: each name once")
    return _absolute(settings, base)


def _absolute(settings: Settings, base: Path) -> Settings:
    node = settings.node.model_copy(update={"data_dir": (base / settings.node.data_dir).resolve()})
    models = tuple(
        m if m.package == "demo" else m.model_copy(update={"package": str(base / m.package)})
        for m in settings.model
    )
    return settings.model_copy(update={"node": node, "model": models})


def _refuse_unknown_environment(environ: Mapping[str, str]) -> None:
    for name in environ:
        section, delimiter, _ = name.removeprefix(ENV_PREFIX).partition(ENV_DELIMITER)
        known = section.lower() in Settings.model_fields
        if name.startswith(ENV_PREFIX) and delimiter and not known:
            allowed = ", ".join(Settings.model_fields)
            raise SettingsError(f"{name}: unknown section {section!r}; allowed: {allowed}")


def _explain(error: ValidationError) -> list[str]:
    """One line a fault: the key, what was found, what is allowed."""
    lines = []
    for fault in error.errors(include_url=False):
        key = ".".join(str(part) for part in fault["loc"])
        if fault["type"] == "extra_forbidden":
            allowed = ", ".join(_keys_beside(fault["loc"]))
            lines.append(f"{key}: unknown key; allowed here: {allowed}")
        elif fault["type"] == "missing":
            lines.append(f"{key}: missing; it has no default")
        else:
            rule = fault["msg"].removeprefix("Input should ").removeprefix("be ")
            lines.append(f"{key}: found {fault['input']!r}; allowed: {rule}")
    return lines


def _keys_beside(location: tuple[int | str, ...]) -> list[str]:
    """The declared keys of the section that a location lies in."""
    section: type[BaseModel] = Settings
    for part in location[:-1]:
        if isinstance(part, int):
            continue
        annotation = section.model_fields[part].annotation
        candidates = [annotation, *getattr(annotation, "__args__", ())]
        section = next(c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel))
    return list(section.model_fields)
