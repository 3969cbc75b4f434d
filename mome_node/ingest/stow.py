"""The HTTP door: the Store transaction of DICOMweb, STOW-RS (PS3.18 10.5).

Bodies are read only as fast as they are taken in: one piece at a time goes to a thread that writes
it, and the next is read when that is done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http import HTTPStatus
from typing import Final, ParamSpec, TypeVar

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from mome_node.catalog.records import Receipt
from mome_node.dicom.uids import is_valid_uid
from mome_node.ingest.http_refusal import RequestRefusal
from mome_node.ingest.media_types import answer_type, payload_of
from mome_node.ingest.outcome import Status
from mome_node.ingest.part_receipt import Sender
from mome_node.ingest.receipt import Reception
from mome_node.ingest.store_request import Announcement, Received, StoreRequest, StowLimits
from mome_node.ingest.stow_response import answer

log = structlog.get_logger(__name__)

MAY_REJECT: Final = "reject"
"""The authentication scope of senders whose rejection notes are applied."""

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

_PATH: Final = "/dicom-web/studies"
_THREADS: Final = 8


class StowDoor:
    """Receives Store requests and hands every instance to the one receipt.

    Who asks is in the request's ``user``, authenticated already; it is named "stow:NAME".
    """

    def __init__(self, reception: Reception, limits: StowLimits | None = None) -> None:
        self._reception = reception
        self._limits = limits or StowLimits()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="stow")

    def routes(self) -> list[Route]:
        """Return the resources of the transaction (PS3.18 table 10.5.1-1)."""
        return [
            Route(_PATH, self._store, methods=["POST"]),
            Route(f"{_PATH}/{{study}}", self._store, methods=["POST"]),
        ]

    def close(self) -> None:
        """Wait for what is being received. To be called when no request can come any more."""
        self._threads.shutdown()

    async def _store(self, request: Request) -> Response:
        sender = Sender(f"stow:{request.user.display_name}", MAY_REJECT in request.auth.scopes)
        try:
            media_type = answer_type(request.headers.get("accept", ""))
            store_request = self._announced(request, sender)
        except RequestRefusal as refusal:
            log.warning("request refused", why=str(refusal), calling_ae=sender.name)
            return PlainTextResponse(f"{refusal}\n", refusal.status)
        try:
            received = await self._received(request, store_request)
        except ClientDisconnect:
            received = await self._in_thread(store_request.discard)
        finally:
            # Also when this task is cancelled. A piece that is being written is waited for there.
            self._threads.submit(store_request.discard)
        _log_end(received, sender)
        answered = await self._in_thread(answer, received, media_type)
        return Response(answered.body, answered.status, answered.headers)

    def _announced(self, request: Request, sender: Sender) -> StoreRequest:
        study = request.path_params.get("study", "")
        if study and not is_valid_uid(study):
            told = "the study in the URL is no UID (PS3.5 9.1)"
            raise RequestRefusal(HTTPStatus.BAD_REQUEST, told)
        length = request.headers.get("content-length", "0")
        if int(length) > self._limits.max_request_bytes:  # digits: the server saw to that
            told = f"the request is larger than {self._limits.max_request_bytes} bytes"
            raise RequestRefusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, told)
        announced = Announcement(
            payload=payload_of(request.headers.get("content-type", "")),
            coding=request.headers.get("content-encoding", ""),
            of_study=study,
        )
        return StoreRequest(announced, self._reception, sender, self._limits)

    async def _received(self, request: Request, store_request: StoreRequest) -> Received:
        async for data in request.stream():
            if data and not await self._in_thread(store_request.feed, data):
                break
        return await self._in_thread(store_request.end)

    async def _in_thread(
        self, call: Callable[Arguments, Result], *given: Arguments.args, **named: Arguments.kwargs
    ) -> Result:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, partial(call, *given, **named))


def _log_end(received: Received, sender: Sender) -> None:
    outcomes = [part.outcome for part in received.parts]
    stored = [o for o in outcomes if o.status is Status.SUCCESS]
    refused = [o for o in outcomes if o.status is not Status.SUCCESS]
    log.info(
        "request ended",
        calling_ae=sender.name,
        ended_by=str(received.cut_by or "the end of its body"),
        stored=sum(o.receipt is not Receipt.DUPLICATE for o in stored),
        duplicates=sum(o.receipt is Receipt.DUPLICATE for o in stored),
        refused=len(refused),
        statuses=sorted({f"{o.status:04X}" for o in refused}),
        bytes=sum(o.size for o in stored),
    )
