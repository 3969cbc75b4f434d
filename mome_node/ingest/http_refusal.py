"""Why an HTTP request is not taken, or not taken further."""

from __future__ import annotations

from http import HTTPStatus


class RequestRefusal(Exception):  # noqa: N818 (an outcome on its way up, no error of the node)
    """Ends the receipt of a request with an HTTP status; never leaves ``ingest``.

    Its text is for the sender and holds no patient data.
    """

    def __init__(self, status: HTTPStatus, why: str) -> None:
        super().__init__(why)
        self.status = status
