from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mome_node import __version__
from mome_node.cli.output import console, progress, say, say_json, say_table

COMMANDS = (
    "demo", "serve", "init", "check", "analyze", "series", "phantom", "model", "model import",
    "model verify", "model run", "studies", "show", "retry", "resend", "pause", "resume",
    "destinations", "release",
)  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example_and_succeeds(run, command: str) -> None:
    done = run(*command.split(), "--help")
    assert done.status == 0
    assert f"example: mome-node {command}" in done.out
    assert done.err == ""


def test_the_commands_are_all_listed(run) -> None:
    done = run("--help")
    assert done.status == 0
    listed = {line.split()[0] for line in done.out.splitlines() if line.startswith("    ")}
    assert {c for c in COMMANDS if " " not in c} <= listed
    assert "not for diagnosis" in " ".join(done.out.split())


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("unknown",),
        ("model",),
        ("model", "unknown"),
        ("analyze",),
        ("analyze", "here"),
        ("series",),
        ("series", "a", "b"),
        ("show",),
        ("retry",),
        ("resend",),
        ("phantom",),
        ("phantom", "out", "--vendor", "toshiba"),
        ("phantom", "out", "--seed", "1e3"),
        ("phantom", "out", "--seed", "-1"),
        ("phantom", "out", "--seed", "9" * 5000),
        ("model", "import", "ckpt", "--out", "pkg"),
        ("model", "import", "ckpt", "--out", "pkg", "--task", "grade"),
        ("model", "import", "c", "--out", "p", "--task", "pcr", "--size", "dce=1x2"),
        ("model", "import", "c", "--out", "p", "--task", "pcr", "--size", "ct=1x2x3"),
        ("model", "import", "c", "--out", "p", "--task", "pcr", "--prior", "1"),
        ("model", "import", "c", "--out", "p", "--task", "pcr", "--prior", "nan"),
        ("model", "run", "demo"),
        ("studies", "--no-such-option"),
    ],
)
def test_wrong_usage_exits_2_and_says_how_it_is_used(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run(*arguments)
    assert done.status == 2
    assert done.out == ""
    assert "usage: mome-node" in done.err
    assert list(tmp_path.iterdir()) == []


def test_the_version_is_told(run) -> None:
    assert run("--version").out == f"mome-node {__version__}\n"


# Output


def test_output_for_programs_is_ascii_json_and_refuses_nan(
    capsys: pytest.CaptureFixture[str],
) -> None:
    say_json({"name": "größe \x1b"})
    assert capsys.readouterr().out == '{\n  "name": "gr\\u00f6\\u00dfe \\u001b"\n}\n'
    with pytest.raises(ValueError, match="not JSON compliant"):
        say_json(float("nan"))


def test_control_characters_of_a_file_or_a_peer_reach_no_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    say("a\x1b[2Jb")
    say_table(("one", "two"), [("x\ty", "\x07 z\nw")])
    assert capsys.readouterr().out == "a [2Jb\none\ttwo\nx y\t  z w\n"


def test_progress_is_silent_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("reading", total=3) as bar:
        bar.advance(bar.task_ids[0])
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "")
    assert not console().is_terminal


def start(*arguments: object, encoding: str = "utf-8", stdout: object = subprocess.PIPE):
    return subprocess.Popen(
        [sys.executable, "-m", "mome_node.cli.main", *map(str, arguments)],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONIOENCODING": encoding},
    )


def test_a_reader_that_has_enough_is_no_traceback(exam: Path) -> None:
    reading, writing = os.pipe()
    process = start("series", exam, "--json", stdout=writing)
    os.close(reading)  # nobody reads: the first write breaks the pipe
    os.close(writing)
    _, err = process.communicate()
    assert (process.returncode, err) == (1, "")


def test_a_full_disk_is_told_without_a_traceback(exam: Path) -> None:
    with Path("/dev/full").open("w") as full:
        process = start("series", exam, stdout=full)
        _, err = process.communicate()
    assert (process.returncode, err) == (1, "mome-node series: No space left on device\n")


def test_a_terminal_without_a_letter_gets_its_escape(
    run, exam: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    narrow = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", narrow)
    assert run("series", sorted(exam.iterdir())[0]).status == 0  # its reason has quotation marks
    narrow.seek(0)
    assert "\\u201clocaliz\\u201d" in narrow.read()
