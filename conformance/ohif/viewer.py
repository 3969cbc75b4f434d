"""OHIF in a headless Chromium: open a study, open its SR or SEG, read what a radiologist would."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Page, sync_playwright
from playwright.sync_api import TimeoutError as PlaywrightTimeoutError
from scipy import ndimage

from conformance import peers
from conformance.ohif import scripts
from conformance.ohif.colours import has_outline, has_region, region
from conformance.ohif.drawn import Drawn, ShownImage

_FLAGS = (
    "--no-sandbox",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_WINDOW = (1280, 900)
_FIRST_IMAGE_MS = 120_000.0
_OVERLAY_MS = 60_000.0
_OPENED_MS = 10_000.0
_UNTOUCHED_MS = 30_000.0
_CLICKS = 3
_NO = '[data-cy="no-hydrate-btn"]'
_THUMBNAIL = '[data-cy="study-browser-thumbnail-no-image"]'
_ANY_THUMBNAIL = '[data-cy^="study-browser-thumbnail"]'
_TEXT_REPORT = '[data-cy="viewport-grid"] .overflow-auto.text-foreground'
_DRAWN = "svg.svg-layer :is(polyline, path, circle, ellipse, line)"
_VIEWPORT = ".cornerstone-viewport-element, .viewport-element"
_IMAGE_ID = re.compile(
    r"/series/(?P<series>[\d.]+)/instances/(?P<instance>[\d.]+)/frames/(?P<frame>\d+)"
)

_FRAME_MS = 100.0
_Judge = Callable[[NDArray[np.int16]], bool]


class ViewerError(AssertionError):
    """The viewer did not show what it was asked for."""


@dataclass
class Viewer:
    """One browser page. Pictures of failures go to ``folder``."""

    page: Page
    server_url: str
    folder: Path
    page_errors: list[str] = field(default_factory=list)

    def open_study(self, study_uid: str) -> None:
        """Open a study and wait until its first image is drawn."""
        self.page_errors.clear()
        self.page.goto(f"{self.server_url}/viewer?StudyInstanceUIDs={study_uid}")
        try:
            self.page.wait_for_selector(_VIEWPORT, timeout=_FIRST_IMAGE_MS)
            self._wait_for(lambda picture: picture.max() > 0, _FIRST_IMAGE_MS)
        except PlaywrightTimeoutError as error:
            raise self._error("no image of the study") from error
        self.page.evaluate(scripts.REMOVE_TOUR)

    def objects(self) -> list[str]:
        """The labels of the study's thumbnails without a picture: its SR and SEG."""
        labels = (item.inner_text() for item in self.page.query_selector_all(_THUMBNAIL))
        return [" ".join(label.split()) for label in labels]

    def open_sr(self, label: str = "SR") -> list[str]:
        """Open an SR by a double click; return the texts drawn beside its outlines."""
        self.open_object(label)
        try:
            self._wait_for_outlines()
            self._wait_for(has_outline, _OVERLAY_MS)
        except PlaywrightTimeoutError as error:
            raise self._error("the SR draws no outline") from error
        self._settle()
        texts = self.page.query_selector_all("svg.svg-layer text tspan")
        return [(text.text_content() or "").strip() for text in texts]

    def open_seg(self, label: str = "SEG") -> None:
        """Open a SEG by a double click and wait until its region is drawn."""
        self.open_object(label)
        try:
            self._wait_until(lambda: has_region(self.canvas()), _OVERLAY_MS)
        except PlaywrightTimeoutError as error:
            raise self._error("the SEG draws no region") from error
        self._settle()

    def open_object(self, label: str) -> None:
        """Open the series or object whose thumbnail says ``label``, by a double click.

        Again, if the list changed under it: thumbnails move while others are still coming.
        """
        for _ in range(_CLICKS):
            self.try_object(label)
            try:
                self.page.wait_for_function(scripts.IS_OPEN, arg=label, timeout=_OPENED_MS)
            except PlaywrightTimeoutError:
                continue
            return
        raise self._error(f"{label} does not open")

    def try_object(self, label: str) -> None:
        """Double-click what the viewer may not be able to open."""
        self.page.wait_for_selector(_ANY_THUMBNAIL, timeout=_FIRST_IMAGE_MS)
        self.page.evaluate(scripts.REMOVE_TOUR)
        items = self.page.query_selector_all(_ANY_THUMBNAIL)
        found = [item for item in items if label in item.inner_text()]
        if not found:
            raise self._error(f"no {label} in the list of series")
        found[0].dblclick()

    def open_report(self, label: str) -> str:
        """Open an SR that the viewer shows as text; return the text."""
        self.open_object(label)
        try:
            self.page.wait_for_selector(_TEXT_REPORT, timeout=_OVERLAY_MS)
        except PlaywrightTimeoutError as error:
            raise self._error("no text is shown") from error
        return self.page.locator(_TEXT_REPORT).first.inner_text()

    def open_pictures(self, label: str, series_uid: str) -> None:
        """Open a series of images and wait until one of it is drawn."""
        self.open_object(label)
        try:
            self._wait_until(lambda: self._shows(f"/series/{series_uid}/"), _FIRST_IMAGE_MS)
        except PlaywrightTimeoutError as error:
            raise self._error("the series is not shown") from error
        self._settle()

    def scroll_to(self, image: ShownImage) -> None:
        """Show an image of the series that is open."""
        wanted = f"/instances/{image.sop_instance_uid}/frames/{image.frame}"
        self.page.evaluate(scripts.SCROLL, wanted)
        self._wait_until(lambda: self.shown_image() == image, _OVERLAY_MS)
        self._settle()

    def decline_prompt(self) -> None:
        """Answer No to the question that lies over the image: what is drawn stays."""
        self.page.click(_NO, timeout=_OVERLAY_MS)
        self.page.wait_for_selector(_NO, state="detached", timeout=_OVERLAY_MS)

    def texts(self) -> list[Drawn]:
        """The blocks of text beside the outlines, each with all its lines."""
        return self._boxes("svg.svg-layer text")

    def outlines(self) -> list[Drawn]:
        """The closed outlines over the image."""
        return self._boxes("svg.svg-layer polyline")

    def viewport(self) -> Drawn:
        """The place of the image on the page."""
        return self._boxes(_VIEWPORT)[0]

    def shown_image(self) -> ShownImage:
        """Which image is shown, from Cornerstone itself."""
        found = _IMAGE_ID.search(str(self.page.evaluate(scripts.SHOWN_IMAGE)))
        if found is None:
            raise self._error("no image is shown")
        return ShownImage(found["series"], found["instance"], int(found["frame"]))

    def place_of(self, drawn: Drawn) -> NDArray[np.float64]:
        """Where the middle of something drawn lies in the patient, mm LPS, as the viewer says."""
        middle = [(drawn.left + drawn.right) / 2, (drawn.top + drawn.bottom) / 2]
        return np.array(self.page.evaluate(scripts.PLACE, middle))

    def coloured_region(self) -> Drawn:
        """The box around the largest patch that a SEG colours."""
        labels, count = ndimage.label(region(self.canvas()))
        if not count:
            raise self._error("no region is drawn")
        rows, columns = np.nonzero(labels == np.bincount(labels.ravel())[1:].argmax() + 1)
        corner = self.viewport()
        left, right = corner.left + columns.min(), corner.left + columns.max()
        top, bottom = corner.top + rows.min(), corner.top + rows.max()
        return Drawn("", float(left), float(top), float(right), float(bottom))

    def canvas(self) -> NDArray[np.int16]:
        """What Cornerstone has drawn (rows, columns, RGB), without OHIF's messages over it."""
        drawn = self.page.evaluate(scripts.CANVAS)
        if not drawn:
            return np.zeros((1, 1, 3), dtype=np.int16)
        picture = Image.open(io.BytesIO(base64.b64decode(drawn[0]))).convert("RGB")
        return np.asarray(picture, dtype=np.int16)

    def coloured(self) -> NDArray[np.bool_]:
        """What a SEG colours (rows, columns), its edge included, on the canvas."""
        filled: NDArray[np.bool_] = ndimage.binary_fill_holes(region(self.canvas()))
        return filled

    def shows_overlay(self) -> bool:
        """Tell whether an outline or a region is drawn now."""
        picture = np.asarray(self.picture(), dtype=np.int16)
        return has_outline(picture) or has_region(self.canvas())

    def picture(self) -> Image.Image:
        """The viewport as it is now; OHIF puts in a new one when another object is opened."""
        viewport = self.page.locator(_VIEWPORT).first
        return Image.open(io.BytesIO(viewport.screenshot(timeout=_OVERLAY_MS))).convert("RGB")

    def screenshot(self, name: str) -> Path:
        """Write the whole page to ``folder``."""
        path = self.folder / f"{name}.png"
        self.page.screenshot(path=path)
        return path

    def _wait_for_outlines(self) -> None:
        """OHIF may draw the image before it knows of the outlines; a touch draws it again."""
        try:
            self.page.wait_for_selector(_DRAWN, timeout=_UNTOUCHED_MS, state="attached")
        except PlaywrightTimeoutError:
            self.page.evaluate(scripts.RENDER)
            self.page.wait_for_selector(_DRAWN, timeout=_OVERLAY_MS, state="attached")

    def _shows(self, part_of_image_id: str) -> bool:
        return part_of_image_id in str(self.page.evaluate(scripts.SHOWN_IMAGE))

    def _boxes(self, selector: str) -> list[Drawn]:
        return [Drawn(*found) for found in self.page.evaluate(scripts.DRAWN_BOXES, selector)]

    def _wait_for(self, holds: _Judge, timeout_ms: float) -> None:
        """Take pictures until ``holds`` says so of one."""
        self._wait_until(lambda: holds(np.asarray(self.picture(), dtype=np.int16)), timeout_ms)

    def _wait_until(self, holds: Callable[[], bool], timeout_ms: float) -> None:
        """Ask ``holds``, once an animation frame at most, until it says so."""
        waited_ms = 0.0
        while not holds():
            if waited_ms > timeout_ms:
                raise PlaywrightTimeoutError("not drawn in time")
            self.page.wait_for_timeout(_FRAME_MS)  # lets the page's own events run
            waited_ms += _FRAME_MS

    def _settle(self) -> None:
        """Wait until nothing moves any more: two pictures after each other are the same."""
        before = [np.zeros(0, dtype=np.int16)]

        def same_again(picture: NDArray[np.int16]) -> bool:
            last = before.pop()
            before.append(picture)
            return np.array_equal(last, picture)

        self._wait_for(same_again, _OVERLAY_MS)

    def _error(self, what: str) -> ViewerError:
        errors = "; ".join(self.page_errors[:3]) or "none"
        path = self.screenshot("viewer-error")
        return ViewerError(f"{what}; objects: {self.objects()}; page errors: {errors}; see {path}")


@contextmanager
def open_viewer(server_url: str, folder: Path) -> Iterator[Viewer]:
    """Start Chromium with one page."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=peers.CHROMIUM.find(), args=list(_FLAGS)
        )
        page = browser.new_page(viewport={"width": _WINDOW[0], "height": _WINDOW[1]})
        viewer = Viewer(page, server_url, folder)
        page.on("pageerror", lambda error: viewer.page_errors.append(str(error)))
        try:
            yield viewer
        finally:
            browser.close()
