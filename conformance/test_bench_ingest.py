"""The benchmark of receiving works with the receivers and the sender that it compares with."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from mome_node.bench.ingest.certificate import Certificate, make_certificate
from mome_node.bench.ingest.instances import PreparedStudy
from mome_node.bench.ingest.orthanc import orthanc_receiver
from mome_node.bench.ingest.process import LOOPBACK
from mome_node.bench.ingest.receivers import Receiver
from mome_node.bench.ingest.senders import Sender, stock_sender, tuned_sender
from mome_node.bench.ingest.storescp import storescp_receiver

pytestmark = [pytest.mark.peer("Orthanc"), pytest.mark.peer("DCMTK")]

SENT = 8


@pytest.fixture(params=["Orthanc", "storescp"])
def receiver(request: pytest.FixtureRequest, tmp_path: Path) -> Receiver:
    is_orthanc = request.param == "Orthanc"
    found = orthanc_receiver() if is_orthanc else storescp_receiver(tmp_path / "build")
    assert found is not None
    return found


@pytest.fixture(params=["tuned", "stock"])
def sender(request: pytest.FixtureRequest) -> Sender:
    found = tuned_sender() if request.param == "tuned" else stock_sender()
    assert found is not None
    return found


@pytest.fixture(params=["plain", "TLS"])
def certificate(request: pytest.FixtureRequest, tmp_path: Path) -> Certificate | None:
    return make_certificate(tmp_path, LOOPBACK) if request.param == "TLS" else None


def test_every_sender_reaches_every_other_receiver_over_several_associations(
    receiver: Receiver, sender: Sender, certificate: Certificate | None, tmp_path: Path
) -> None:
    parts = PreparedStudy(tmp_path / "sent", SENT, 100_000, 4).renew()
    folder = tmp_path / "receiver"
    folder.mkdir()
    with receiver.open(folder, certificate) as opened:
        sent = sender.send(opened.address, certificate, parts, folder)
        assert opened.lost([instance for part in parts for instance in part]) == 0
    assert sent.seconds > 0


@pytest.mark.long
def test_the_command_compares_the_node_with_both(tmp_path: Path) -> None:
    picture = tmp_path / "ingest.png"
    command = [sys.executable, "-m", "mome_node.cli.main", "bench", "ingest", "--json"]
    options = ["--rounds", "1", "--instances", str(SENT), "--kilobytes", "20"]
    place = ["--folder", str(tmp_path), "--png", str(picture), "--transports", "plain"]
    done = subprocess.run([*command, *options, *place], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["left_out"] == []
    assert told["all_present"] is True
    found = {(r["receiver"], r["sender"], r["associations"]) for r in told["rows"]}
    assert found == {
        (receiver, sender, associations)
        for receiver in ("node", "orthanc", "storescp")
        for sender in ("tuned", "storescu")
        for associations in (1, 4)
    }
    assert told["peak_memory_mb"]["node"] < 400
    assert Image.open(picture).width > 0
    assert [path.name for path in tmp_path.iterdir()] == [picture.name]
