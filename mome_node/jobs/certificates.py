"""Certificates that run out: a warning a day from 30 days before, an alarm afterwards."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import structlog

from mome_node.tls import Validity

log = structlog.get_logger(__name__)


class CertificateWatch:
    """Looks at the certificates that the doors were opened with."""

    def __init__(self, validities: tuple[Validity, ...], clock: Callable[[], datetime]) -> None:
        self._validities = validities
        self._clock = clock

    def warn(self) -> None:
        """Warn of each certificate that expires within 30 days; to be called once a day."""
        for validity in self._validities:
            if warning := validity.warning(self._clock()):
                log.warning("a certificate expires", why=warning)

    def fault(self) -> str | None:
        """Say which certificate is not valid now; None if all are."""
        faults = (validity.fault(self._clock()) for validity in self._validities)
        return next((fault for fault in faults if fault), None)
