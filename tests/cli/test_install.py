from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

import pytest
import trustme
from pynetdicom.ae import ApplicationEntity
from pynetdicom.sop_class import Verification

from mome_node.catalog.catalog import Catalog
from mome_node.dicom.commitment import COMMITMENT_CLASS
from mome_node.errors import ModelError
from mome_node.jobs.requests import InstalledModel
from mome_node.mome.statement import HISTOLOGY_PROVEN
from mome_node.results.classes import STORAGE_CLASSES
from mome_node.settings import load_settings
from mome_node.settings_file import default_settings_file
from tests.delivery.stow_server import Answer, StowServer, served

Config = Callable[[str], Path]

TLS = '[dicom.tls]\ncertificate = "mome.pem"\nkey = "mome.key"'

UNASSERTED = InstalledModel(
    "subtype", "1", "f" * 64, "tnbc", False, False, "cpu", applies_when=(HISTOLOGY_PROVEN,)
)
CLINICAL = InstalledModel("clinic", "2", "c" * 64, "malignancy", False, False, "cpu")
SYNTHETIC = InstalledModel("demo", "1", "d" * 64, "malignancy", True, False, "cpu")
LET_LOOSE = InstalledModel("demo", "1", "d" * 64, "malignancy", True, True, "cpu")


FIND = "1.2.840.10008.5.1.4.1.2.2.1"
RESULTS = tuple(STORAGE_CLASSES.values())
EVERYTHING = (*RESULTS, Verification, FIND, COMMITMENT_CLASS)


@contextmanager
def pacs_with(*classes: str) -> Iterator[int]:
    """A peer that takes these SOP classes, without compression; its port."""
    entity = ApplicationEntity("PACS")
    for sop_class in classes:
        entity.add_supported_context(sop_class)
    server = entity.start_server(("127.0.0.1", 0), block=False)
    try:
        yield int(server.server_address[1])
    finally:
        # It waits for the server's next poll, half a second; no test has to.
        Thread(target=server.shutdown).start()


def destination(port: int, more: str = "") -> str:
    return (
        f'[[destination]]\nname = "pacs"\nae = "PACS"\nhost = "127.0.0.1"\nport = {port}\n'
        f'visibility = "research"\n{more}\n'
    )


def verdicts(out: str) -> dict[str, list[str]]:
    """The verdicts of each subject, in order."""
    found: dict[str, list[str]] = {}
    for line in out.splitlines():
        verdict, subject = line.split(":")[0].split()
        found.setdefault(subject, []).append(verdict)
    return found


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Stand in for the process that loads the models."""

    def install(*installed: InstalledModel, fault: str = "") -> None:
        class Double:
            def __init__(self, settings: object) -> None:
                pass

            def start(self) -> tuple[InstalledModel, ...]:
                if fault:
                    raise ModelError(fault)
                return installed

            def stop(self) -> None:
                pass

        monkeypatch.setattr("mome_node.cli.install.inference_process", Double)

    return install


# init


def test_init_writes_settings_that_load(run, tmp_path: Path) -> None:
    done = run("init", tmp_path / "new" / "node")
    path = tmp_path / "new" / "node" / "node.toml"
    assert done.status == 0
    assert str(path) in done.out
    assert path.read_text() == default_settings_file()
    assert load_settings(path).node.data_dir == path.parent / "mome-data"


def test_init_writes_into_this_folder_by_default(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("init").status == 0
    assert (tmp_path / "node.toml").exists()


def test_init_never_overwrites(run, tmp_path: Path) -> None:
    (tmp_path / "node.toml").write_text("# mine")
    done = run("init", tmp_path)
    assert (done.status, done.out) == (1, "")
    assert "node.toml exists; it is left as it is" in done.err
    assert (tmp_path / "node.toml").read_text() == "# mine"


def test_init_does_not_follow_a_link_to_nowhere(run, tmp_path: Path) -> None:
    (tmp_path / "node.toml").symlink_to(tmp_path / "elsewhere.toml")
    assert run("init", tmp_path).status == 1
    assert not (tmp_path / "elsewhere.toml").exists()


def test_init_into_a_file_is_told(run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    done = run("init", tmp_path / "file")
    assert (done.status, done.err) == (1, f"mome-node init: {tmp_path / 'file'}: File exists\n")


# check


def test_a_node_that_would_work_passes_every_check(run, config: Config) -> None:
    """With the real process that loads the bundled package, and a peer that answers."""
    with pacs_with(*EVERYTHING) as port:
        done = run("check", "--config", config(destination(port)))
    assert (done.status, done.err) == (0, "")
    found = verdicts(done.out)
    assert found["settings"] == found["database"] == ["ok"]
    assert found["storage"][0] in {"ok", "note"}  # a note where the disk is small
    assert found["tls"] == ["note"]  # there is none
    assert found["limits"] == ["ok"]
    assert found["models"] == ["ok", "note"]
    assert "it evaluates only exams marked Synthetic Data" in done.out
    assert found["peers"] == ["note"]
    assert found["destinations"] == ["ok", "ok", "ok"]
    assert "answered C-ECHO" in done.out


def test_everything_that_would_not_work_is_told_at_once(
    run, config: Config, tmp_path: Path
) -> None:
    (tmp_path / "taken").write_text("a file")
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    content = '[node]\ndata_dir = "taken"\n[[model]]\npackage = "nowhere"\n' + destination(port)
    done = run("check", "--config", config(content))
    assert done.status == 1
    found = verdicts(done.out)
    assert found["settings"] == ["ok"]
    assert found["storage"] == found["database"] == found["models"] == ["FAILED"]
    assert found["destinations"] == ["FAILED"]
    assert "nowhere is no model package" in done.out
    assert "is the peer running?" in done.out
    assert "Traceback" not in done.out + done.err


@pytest.mark.parametrize(
    ("installed", "verdict", "words"),
    [
        ((CLINICAL,), ["ok"], "clinic 2 (malignancy) on cpu in float32, digest cccccccccccc"),
        ((SYNTHETIC,), ["ok", "note"], "no clinical model installed"),
        ((LET_LOOSE,), ["ok", "note"], "the settings let it evaluate real patients"),
        ((UNASSERTED,), ["ok", "note"], 'holds only for "histology-proven invasive cancer"'),
        ((replace(UNASSERTED, asserts=(HISTOLOGY_PROVEN,)),), ["ok"], "subtype 1 (tnbc)"),
        ((), ["note"], "no study will be evaluated"),
    ],
)
def test_what_the_models_may_evaluate_is_told(
    run, config: Config, models, installed: tuple[InstalledModel, ...], verdict: list, words: str
) -> None:
    models(*installed)
    done = run("check", "--config", config("model = []" if not installed else ""))
    assert done.status == 0
    assert verdicts(done.out)["models"] == verdict
    assert words in done.out


def test_who_may_send_is_told(run, config: Config, models) -> None:
    models(CLINICAL)
    open_door = run("check", "--config", config("[dicom]\nallow_any_peer = true"))
    assert "anybody may send" in open_door.out
    peers = '[dicom]\nallowed_peers = [{ ae = "PACS", host = "10.0.0.5" }]'
    listed = run("check", "--config", config(peers))
    assert "may send" not in listed.out
    assert "results stay in the node" in listed.out


def test_a_pause_is_told(run, config: Config, models) -> None:
    models(CLINICAL)
    path = config("")
    assert run("pause", "--config", path).status == 0
    done = run("check", "--config", path)
    assert done.status == 0
    assert "`mome-node resume` ends that" in done.out


def test_what_is_wrong_with_tls_is_told(run, config: Config, models, tmp_path: Path) -> None:
    models(CLINICAL)
    missing = run("check", "--config", config('[dicom.tls]\ncertificate = "a"\nkey = "b"'))
    assert missing.status == 1
    assert f"dicom.tls.certificate: {tmp_path / 'a'}: no such file" in missing.out


def test_what_tls_does_is_told(run, config: Config, models, tmp_path: Path) -> None:
    models(CLINICAL)
    issued = trustme.CA().issue_cert("mome", not_after=datetime.now(UTC) + timedelta(days=9.5))
    issued.cert_chain_pems[0].write_to_path(tmp_path / "mome.pem")
    issued.private_key_pem.write_to_path(tmp_path / "mome.key")
    (tmp_path / "mome.key").chmod(0o600)
    done = run("check", "--config", config(TLS))
    assert done.status == 0
    assert verdicts(done.out)["tls"] == ["ok", "note", "note", "note"]
    for words in (
        "port 2762, TLS 1.2 or later, valid to",
        "in 9 days: renew it",
        "dicom.tls.client_ca is not set",
        "port 11112 is open without TLS",
    ):
        assert words in done.out


def test_limits_that_the_system_does_not_grant_are_told(
    run, config: Config, models, monkeypatch: pytest.MonkeyPatch
) -> None:
    models(CLINICAL)
    monkeypatch.setattr("mome_node.ingest.open_files.resource.getrlimit", lambda _: (64, 128))
    done = run("check", "--config", config("[dicom]\nmax_associations = 100"))
    assert verdicts(done.out)["limits"] == ["FAILED"]
    assert "the system allows this process 128: allow more (LimitNOFILE" in done.out


def test_a_disk_without_room_is_told(run, config: Config, models) -> None:
    models(CLINICAL)
    done = run("check", "--config", config("[storage]\nmin_free_mb = 100000000"))
    assert done.status == 1
    assert "new instances are refused (A700)" in done.out


def test_an_alarm_is_told_by_check_and_beside_the_studies(run, config: Config, models) -> None:
    models(CLINICAL)
    path = config("")
    with Catalog.open(load_settings(path).database_url) as catalog:
        catalog.begin_alarm("disk", "99 MiB are free", datetime(2026, 1, 1, tzinfo=UTC))
    checked = run("check", "--config", path)
    assert checked.status == 1
    assert verdicts(checked.out)["alarms"] == ["FAILED"]
    listed = run("studies", "--config", path, "--json")
    assert (listed.status, listed.out) == (0, "[]\n")
    assert "ALARM disk, since 2026-01-01 00:00 UTC: 99 MiB are free" in listed.err


def test_a_peer_whose_name_nobody_knows_is_told(run, config: Config, models) -> None:
    models(CLINICAL)
    peers = '[dicom]\nallowed_peers = [{ ae = "PACS", host = "pacs.invalid" }]'
    done = run("check", "--config", config(peers))
    assert "PACS is not let in: pacs.invalid:" in done.out


# Destinations


def told(out: str) -> list[tuple[str, str]]:
    """(verdict, words) of each line on destinations."""
    lines = (line.partition(" destinations: ") for line in out.splitlines())
    return [(verdict.strip(), words) for verdict, found, words in lines if found]


@pytest.mark.parametrize(
    ("refused", "more", "words"),
    [
        (
            RESULTS[:2],
            "",
            'sr and seg will not arrive: have it take that, or choose objects = ["summary"]',
        ),
        (
            RESULTS[:1],
            'objects = ["sr", "seg", "summary"]',
            'sr will not arrive: have it take that, or choose objects = ["seg", "summary"]',
        ),
        (
            RESULTS[1:2],
            "",
            'seg will not arrive: have it take that, or choose objects = ["sr"]',
        ),
        (
            (),
            'objects = ["sr", "summary"]\nencoding = "rle"',
            'Secondary Capture in RLE, and summary will not arrive: choose encoding = "explicit"',
        ),
        ((FIND,), "", 'set verify to a [[pacs]], or to "none"'),
    ],
)
def test_what_will_not_arrive_is_told_with_what_to_choose_instead(
    run, config: Config, models, refused: tuple[str, ...], more: str, words: str
) -> None:
    models(CLINICAL)
    with pacs_with(*(uid for uid in EVERYTHING if uid not in refused)) as port:
        done = run("check", "--config", config(destination(port, more)))
    assert done.status == 1
    failed = [line for verdict, line in told(done.out) if verdict == "FAILED"]
    assert any(words in line for line in failed), done.out


def test_what_is_chosen_instead_passes(run, config: Config, models) -> None:
    models(CLINICAL)
    takes = (RESULTS[2], Verification)
    more = 'objects = ["summary"]\nverify = "none"\ncommitment = false'
    with pacs_with(*takes) as port:
        done = run("check", "--config", config(destination(port, more)))
    assert done.status == 0
    assert [verdict for verdict, _ in told(done.out)] == ["ok", "note", "note"]
    assert "takes summary" in done.out
    assert "whose study it is there is not checked" in done.out
    assert "no rejection note" in done.out


def test_how_results_are_confirmed_without_storage_commitment_is_told(
    run, config: Config, models
) -> None:
    models(CLINICAL)
    with pacs_with(*RESULTS, Verification, FIND) as port:
        asked = run("check", "--config", config(destination(port)))
        nobody = run("check", "--config", config(destination(port, 'verify = "none"')))
        pacs = f'[[pacs]]\nname = "vna"\nae = "PACS"\nhost = "127.0.0.1"\nport = {port}\n'
        other = run("check", "--config", config(pacs + destination(port, 'verify = "vna"')))
    assert asked.status == nobody.status == other.status == 0
    assert "takes no storage commitment: results are confirmed by C-FIND" in asked.out
    assert "takes no storage commitment: nothing confirms results" in nobody.out
    assert "takes no storage commitment: results are confirmed by asking vna" in other.out


def test_a_destination_that_nothing_is_sent_to_is_told(run, config: Config, models) -> None:
    models(CLINICAL)
    with pacs_with(*EVERYTHING) as port:
        held = destination(port, 'ca_file = "ca.pem"').replace("research", "held")
        done = run("check", "--config", config(held))
    assert done.status == 0
    notes = [words for verdict, words in told(done.out) if verdict == "note"]
    assert len(notes) == 2
    assert "results are kept in the node until they are let go" in notes[0]
    assert "results cross the network in the clear" in notes[1]


def test_a_destination_over_http_is_asked_without_storing_anything(
    run, config: Config, models
) -> None:
    models(CLINICAL)
    server = StowServer(lambda _: Answer(b"", 400))
    web = '[[destination]]\nname = "vna"\nkind = "dicomweb"\nvisibility = "clinical"\n'
    with served(server):
        lone = run("check", "--config", config(f'{web}url = "{server.url}"\nverify = "none"'))
        asked = run("check", "--config", config(f'{web}url = "{server.url}"'))
    away = run("check", "--config", config(f'{web}url = "{server.url}"\nverify = "none"'))
    assert [r.parts for r in server.requests] == [(), ()]
    assert lone.status == 0
    assert told(lone.out)[0] == ("ok", told(lone.out)[0][1])
    assert "takes STOW-RS" in lone.out
    assert asked.status == 1  # the double answers no QIDO-RS
    assert "QIDO-RS: HTTP 501" in asked.out
    assert 'set verify to a [[pacs]], or to "none"' in asked.out
    assert away.status == 1
    assert "is the archive running" in away.out


def test_a_token_that_others_may_read_is_told(run, config: Config, models, tmp_path: Path) -> None:
    models(CLINICAL)
    (tmp_path / "token").write_text("s3cr3t")
    (tmp_path / "token").chmod(0o644)
    web = '[[destination]]\nname = "vna"\nkind = "dicomweb"\nurl = "http://127.0.0.1:1"\n'
    done = run("check", "--config", config(web + 'token_file = "token"\nverify = "none"'))
    assert f"others than its owner may read {tmp_path / 'token'}" in done.out
    assert "s3cr3t" not in done.out


@pytest.mark.parametrize("command", ["check", "serve", "studies", "pause"])
def test_settings_that_are_refused_end_every_command(run, config: Config, command: str) -> None:
    done = run(command, "--config", config("[dicom]\nport = 0\n"))
    assert (done.status, done.out) == (1, "")
    assert done.err == (
        f"mome-node {command}: dicom.port: found 0; allowed: greater than or equal to 1\n"
    )


def test_without_settings_the_way_to_get_some_is_told(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run("check")
    assert (done.status, done.out) == (1, "")
    assert "node.toml: no such file; `mome-node init` writes one" in done.err
