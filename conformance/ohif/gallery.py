"""The pictures of docs/viewers.md: what OHIF shows of each kind of study and of result.

python -m conformance.ohif.gallery --out docs/viewers
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom import dcmread

from conformance import peers
from conformance.lesion_results import LesionStudyMaker
from conformance.ohif.server import OhifServer
from conformance.ohif.viewer import Viewer, open_viewer
from mome_node.demonstration.pacs.orthanc import Orthanc
from mome_node.results.profile import ResultProfile

GREYS, COLOURS = 64, 128
"""Of a picture's palette. All of a page's would make its file several times as large."""

COLOUR_STEP = 24  # between the channels of a pixel that is not grey

SHOWN = ResultProfile(objects=("sr", "seg", "summary"))


def take(make: LesionStudyMaker, viewer: Viewer, orthanc: Orthanc) -> Iterator[Path]:
    """Open what docs/viewers.md shows; give the pages as files named as there."""
    for form in ("classic", "degraded", "negative", "sagittal"):
        study = make(form)
        results = study.results(SHOWN)
        orthanc.empty()
        orthanc.store_study([*study.images, *(p for paths in results.values() for p in paths)])
        viewer.open_study(study.study_uid)
        viewer.open_sr(label="MOME SR")
        viewer.decline_prompt()
        yield viewer.screenshot(f"ohif-sr-{form}")
        if form != "classic":
            continue
        viewer.open_seg(label="MOME SEG")
        viewer.decline_prompt()
        yield viewer.screenshot("ohif-seg")
        series = str(dcmread(results["summary"][0]).SeriesInstanceUID)
        viewer.open_pictures("MOME summary", series)
        yield viewer.screenshot("ohif-summary")


def reduced(page: Image.Image) -> Image.Image:
    """The page with fewer greys, and with colours of its own for what is not grey."""
    pixels = np.asarray(page.convert("RGB"))
    spread = pixels.max(axis=-1).astype(int) - pixels.min(axis=-1)
    colours = Image.fromarray(pixels[spread > COLOUR_STEP][None]).quantize(COLOURS)
    greys = np.linspace(0, 255, GREYS).astype(int).repeat(3)
    palette = Image.new("P", (1, 1))
    palette.putpalette([*greys.tolist(), *(colours.getpalette() or ())[: 3 * COLOURS]])
    return page.convert("RGB").quantize(palette=palette, dither=Image.Dither.NONE)


def main() -> int:
    """Take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as name,
        Orthanc(Path(name) / "orthanc") as orthanc,
        OhifServer(peers.OHIF_FOLDER, orthanc.dicomweb_url) as server,
        open_viewer(server.url, Path(name)) as viewer,
    ):
        for page in take(LesionStudyMaker(Path(name) / "studies"), viewer, orthanc):
            with Image.open(page) as picture:
                reduced(picture).save(options.out / page.name, optimize=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
