"""Where results go, what is handed over, and what comes back for each instance."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

from mome_node.errors import DeliveryError, SettingsError

_AE_TITLE_LENGTH = 16  # PS3.5 table 6.2-1, VR AE


@dataclass(frozen=True, slots=True)
class Destination:
    """One DICOM peer that takes results by C-STORE.

    ``ae_title`` is the peer's (called), ``calling_ae_title`` ours. With ``tls`` the peer has to
    show a certificate that names ``host``. Raises SettingsError for an AE title or port that DICOM
    or TCP does not allow.
    """

    name: str
    ae_title: str
    host: str
    port: int
    calling_ae_title: str
    tls: ssl.SSLContext | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        for key, title in (("ae", self.ae_title), ("calling ae", self.calling_ae_title)):
            if not _is_ae_title(title):
                raise SettingsError(
                    f"destination {self.name!r}: {key} is {title!r}; allowed are 1 to "
                    f"{_AE_TITLE_LENGTH} printable ASCII characters without backslash"
                )
        if not 0 < self.port < 65536:
            raise SettingsError(
                f"destination {self.name!r}: port is {self.port}; allowed are 1 to 65535"
            )

    def __str__(self) -> str:
        return f"{self.name} ({self.ae_title} at {self.host}:{self.port})"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One stored instance that is to be sent.

    ``open`` returns a reader over its DICOM file (PS3.10), or raises StorageError.
    """

    sop_instance_uid: str
    open: Callable[[], BinaryIO]


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the peer said of one instance.

    ``status`` is the C-STORE status (PS3.7 annex C, PS3.4 table B.2-1), by STOW-RS the reason of a
    failure or warning (PS3.18 table I.2-2); None when the instance was not sent, or no status was
    told. ``note`` holds the words of a warning. ``error`` is None when the peer has the
    instance.
    """

    sop_instance_uid: str
    status: int | None
    note: str = ""
    error: DeliveryError | None = None

    @property
    def stored(self) -> bool:
        """The peer has said that it has the instance."""
        return self.error is None


class Sender(Protocol):
    """Sends instances to one destination."""

    def send(self, objects: Sequence[Outgoing]) -> Generator[Receipt, None, None]:
        """Yield one receipt an instance, each as soon as the peer has answered for it.

        Raises a DeliveryError when the peer cannot be reached or the link breaks: it holds for
        every instance that has no receipt yet. InterruptedDeliveryError names the one it broke on.
        """
        ...


def _is_ae_title(title: str) -> bool:
    return (
        0 < len(title.strip()) <= len(title) <= _AE_TITLE_LENGTH
        and title.isascii()
        and title.isprintable()
        and "\\" not in title
    )
