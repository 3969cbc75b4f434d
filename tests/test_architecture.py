"""The folder tree is the architecture: imports run one way, and importing does nothing."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import mome_node

ROOT = Path(mome_node.__file__).parent
SOURCES = sorted(ROOT.rglob("*.py"))
MODULES = [p for p in SOURCES if "migrations" not in p.parts]  # alembic runs those, by itself

STAGES = frozenset(
    {
        "dicom", "storage", "catalog", "ingest", "assembly",
        "volumes", "fitness", "mome", "results", "delivery",
    }
)  # fmt: skip
FREE = frozenset({"errors", "__init__"})
"""What every package may import: the error tree and the version."""

ALLOWED: dict[str, frozenset[str]] = {
    "errors": frozenset(),
    "__init__": frozenset(),
    "logs": frozenset(),
    "tls": frozenset(),
    "http_client": frozenset(),
    "settings_values": frozenset(),
    "settings_faults": frozenset(),
    "settings_studies": frozenset({"settings_values", "fitness"}),
    "settings_commitment": frozenset({"settings_values"}),
    "settings_dicom": frozenset({"settings_values"}),
    "settings_pacs": frozenset({"settings_values"}),
    "settings_delivery": frozenset({"settings_values", "settings_pacs"}),
    "settings_web": frozenset({"settings_values"}),
    "settings": frozenset(
        {
            *("settings_values", "settings_faults", "settings_studies"),
            *("settings_commitment", "settings_delivery", "settings_dicom"),
            *("settings_pacs", "settings_web"),
        }
    ),
    "settings_file": frozenset({"settings"}),
    # Stages, in the order of the data's way.
    "dicom": frozenset(),
    "storage": frozenset({"dicom"}),
    "fitness": frozenset({"dicom"}),
    "catalog": frozenset({"dicom"}),
    "ingest": frozenset({"dicom", "storage", "catalog", "tls"}),
    "assembly": frozenset({"dicom", "fitness"}),
    "volumes": frozenset({"dicom", "storage"}),
    "mome": frozenset({"dicom", "volumes", "fitness"}),
    "results": frozenset({"dicom", "volumes", "fitness", "mome"}),
    "delivery": frozenset({"dicom", "storage", "catalog", "http_client"}),
    "query": frozenset({"dicom", "http_client"}),
    "survey": frozenset({"dicom", "assembly", "query"}),
    "jobs": STAGES | {"logs", "tls"},
    # Around them.
    "web": frozenset(),
    "node_dicom": frozenset({"ingest", "storage", "catalog", "settings", "settings_dicom", "tls"}),
    "node_web": frozenset({"ingest", "settings_web", "tls", "web"}),
    "node_delivery": frozenset(
        {
            *("delivery", "query", "http_client", "results", "jobs", "tls", "node_dicom"),
            *("settings", "settings_delivery", "settings_pacs"),
        }
    ),
    "phantom": frozenset({"dicom", "volumes"}),
    "node": STAGES
    | {
        *("jobs", "node_delivery", "node_dicom", "node_web", "tls"),
        *("settings", "settings_studies"),
    },
    "demonstration": STAGES
    | {"jobs", "query", "phantom", "settings", "logs", "node", "http_client"},
    "bench": frozenset(
        {"dicom", "storage", "catalog", "assembly", "volumes", "mome", "jobs", "phantom"}
    ),
    "cli": STAGES
    | {
        *("jobs", "query", "survey", "phantom", "demonstration", "bench"),
        *("settings", "settings_delivery", "settings_file", "settings_pacs", "logs"),
        *("node", "node_delivery", "node_dicom", "tls"),
    },
}

TYPES_ONLY = {
    ("assembly", "fitness"): {"fitness.checks"},
    ("settings_studies", "fitness"): {"fitness.checks", "fitness.knowledge"},
    ("results", "fitness"): {"fitness.checks", "fitness.knowledge"},
    ("phantom", "volumes"): {"volumes.volume"},
    ("results", "volumes"): {"volumes.volume"},
    ("results", "mome"): {"mome.prediction", "mome.statement"},
    ("node_delivery", "results"): {"results.profile"},
    ("node_delivery", "jobs"): {"jobs.site_policy"},
}
"""Where one package may take only another's types."""

ONLY_BY = {
    # Nothing else builds a node's parts, and nothing below speaks to people.
    "node": {"cli", "demonstration/run.py"},
    "node_web": {"node"},
    "cli": {"cli"},
}
PROGRAMS = {f"demonstration/{name}.py" for name in ("evaluate", "make_package", "sanity")}
"""Run as ``python -m``: like commands, they may print the way commands do."""


def place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def package_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def own_imports(path: Path) -> Iterator[str]:
    """Dotted names below ``mome_node`` that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{place(path)}:{node.lineno} imports relatively"
            names = [node.module or ""]
            if node.module in {"mome_node", *(f"mome_node.{p}" for p in ALLOWED)}:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            first, _, rest = name.partition(".")
            if first == "mome_node":
                yield "__init__" if rest in {"", "__version__"} else rest


@pytest.mark.parametrize("path", SOURCES, ids=place)
def test_imports_run_one_way(path: Path) -> None:
    package = package_of(path)
    assert package in ALLOWED, f"{package} has no place in the table of imports"
    for name in own_imports(path):
        target = name.partition(".")[0]
        if target in {package, *FREE}:
            continue
        if place(path) in PROGRAMS and name.startswith("cli.output"):
            continue
        assert target in ALLOWED[package], f"{package} must not import {name}"
        types = TYPES_ONLY.get((package, target))
        assert types is None or any(f"{name}.".startswith(f"{t}.") for t in types), (
            f"{package} may import only {sorted(types or ())} of {target}, not {name}"
        )
        takers = ONLY_BY.get(target)
        assert takers is None or {package, place(path)} & takers, f"nobody imports {target}"


def test_the_table_itself_has_no_circle() -> None:
    seen: set[str] = set()
    waiting = dict(ALLOWED)
    while waiting:
        free = [name for name, targets in waiting.items() if targets <= seen]
        assert free, f"these import each other: {sorted(waiting)}"
        seen.update(free)
        for name in free:
            del waiting[name]


@pytest.mark.parametrize("path", SOURCES, ids=place)
def test_no_file_is_longer_than_a_reader_bears(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400


def test_every_module_is_named_for_what_it_does() -> None:
    vague = {"utils", "util", "helpers", "helper", "manager", "managers", "common", "misc", "base"}
    assert [place(p) for p in SOURCES if vague & {*p.with_suffix("").parts, p.stem}] == []


def _is_name_check(test: ast.expr) -> bool:
    return ast.unparse(test) in {"TYPE_CHECKING", "__name__ == '__main__'"}


@pytest.mark.parametrize("path", MODULES, ids=place)
def test_a_module_only_defines(path: Path) -> None:
    """No loop, call, context or condition runs at import, and nothing is global and changes."""
    tree = ast.parse(path.read_text())
    definitions = (
        ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign,
    )  # fmt: skip
    for node in tree.body:
        is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        is_check = isinstance(node, ast.If) and _is_name_check(node.test)
        assert isinstance(node, definitions) or is_text or is_check, (
            f"{place(path)}:{node.lineno} runs at import"
        )
    assert not any(isinstance(node, ast.Global) for node in ast.walk(tree))


def in_a_fresh_process(program: str, folder: Path) -> str:
    """What a program prints that runs alone, in an empty folder that is its home, too."""
    environment = {k: v for k, v in os.environ.items() if not k.upper().startswith("MOME_")}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        env=environment | {"HOME": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_does_nothing_and_the_process_that_receives_never_loads_torch(
    tmp_path: Path,
) -> None:
    """No file, thread or variable comes from an import; a built node holds no network library."""
    heavy = {
        *("mome", "results", "demonstration", "bench"),
        *("jobs/evaluation.py", "jobs/evaluate_study.py"),
        *("jobs/not_evaluable_report.py", "jobs/rejection_notes.py"),  # loaded when they are needed
    }
    light = [
        ".".join(p.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")
        for p in MODULES
        if not {package_of(p), place(p)} & heavy
    ]
    program = f"""
import importlib, json, os, sys, threading
from pathlib import Path

before = dict(os.environ)
for name in {light!r}:
    importlib.import_module(name)
seen = [threading.active_count(), [str(p) for p in Path().iterdir()], before == dict(os.environ)]

from mome_node.node import Node
from mome_node.settings import parse_settings

node = Node(parse_settings({{}}, base=Path()))
node.stop()
loaded = {{m.partition(".")[0] for m in sys.modules}}
print(json.dumps([*seen, sorted(loaded & {{"torch", "monai", "highdicom"}})]))
"""
    threads, files, same_environment, loaded = json.loads(in_a_fresh_process(program, tmp_path))
    assert (threads, files, same_environment, loaded) == (1, [], True, [])
