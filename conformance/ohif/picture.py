"""The README's picture: a phantom that the demonstration package evaluated, opened in OHIF.

python -m conformance.ohif.picture --out docs/ohif-sr.png
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from PIL import Image

from conformance import peers
from conformance.ohif.server import OhifServer
from conformance.ohif.viewer import open_viewer
from conformance.study_results import MALIGNANT_SEED, EvaluatedStudy, evaluate
from mome_node.demonstration.pacs.orthanc import Orthanc
from mome_node.jobs.models import DEMONSTRATION
from mome_node.phantom.exam import Vendor
from mome_node.phantom.render import render_exam

_KEPT_BITS = 0xFC  # of a colour's eight: the others are noise, and half of the file


def take(study: EvaluatedStudy, folder: Path) -> Path:
    """Open the study's SR in OHIF over a PACS that holds it; return the page as a file."""
    with (
        Orthanc(folder / "orthanc") as orthanc,
        OhifServer(peers.OHIF_FOLDER, orthanc.dicomweb_url) as server,
        open_viewer(server.url, folder) as viewer,
    ):
        orthanc.store_study([*study.images, *study.results])
        viewer.open_study(study.study_uid)
        viewer.open_sr()
        viewer.decline_prompt()
        return viewer.screenshot("sr")


def main() -> int:
    """Take the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, metavar="PNG")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        exam = render_exam(MALIGNANT_SEED)
        study = evaluate(exam, DEMONSTRATION, folder / "study", vendor=Vendor.SIEMENS)
        with Image.open(take(study, folder)) as page:
            reduced = page.convert("RGB").point(lambda value: value & _KEPT_BITS)
            reduced.save(options.out, optimize=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
