"""What the viewer shows, as values: something drawn over an image, and which image it is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Drawn:
    """Something drawn over the image: its text, if it is one, and its place on the page."""

    text: str
    left: float
    top: float
    right: float
    bottom: float

    def lies_in(self, other: Drawn) -> bool:
        return (
            self.left >= other.left
            and self.top >= other.top
            and self.right <= other.right
            and self.bottom <= other.bottom
        )


@dataclass(frozen=True)
class ShownImage:
    """The image that the viewport shows."""

    series_uid: str
    sop_instance_uid: str
    frame: int
