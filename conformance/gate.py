"""A relay to a peer that can hold back what the peer answers, as a link that dies does."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Self

from mome_node.demonstration.pacs.pacs import LOOPBACK, DicomAddress

_DATA_PDU = 0x04  # P-DATA-TF, PS3.8 section 9.3.1
_HEADER = 6


class Gate:
    """Listens for a peer and passes all PDUs on; while ``hold`` lasts, none that carries data back.

    ``held`` is set once an answer waits here: the peer has done its work and nobody knows.
    """

    def __init__(self, peer: DicomAddress) -> None:
        self._peer = peer
        self._server = socket.create_server((LOOPBACK, 0))
        self._open = threading.Event()
        self._open.set()
        self.held = threading.Event()

    @property
    def address(self) -> DicomAddress:
        """Where to reach the peer through it."""
        return DicomAddress(self._peer.ae_title, LOOPBACK, self._server.getsockname()[1])

    def hold(self) -> None:
        """Hold back answers from now on."""
        self._open.clear()

    def release(self) -> None:
        """Let all answers through again."""
        self._open.set()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
        self._server.close()

    def _accept(self) -> None:
        with suppress(OSError):  # the server was closed
            while True:
                caller, _ = self._server.accept()
                peer = socket.create_connection((self._peer.host, self._peer.port))
                for work in (self._pass_requests, self._pass_answers):
                    threading.Thread(target=work, args=(caller, peer), daemon=True).start()

    def _pass_requests(self, caller: socket.socket, peer: socket.socket) -> None:
        with suppress(OSError), caller, peer:
            while data := caller.recv(65536):
                peer.sendall(data)
            peer.shutdown(socket.SHUT_RDWR)  # at once, though its answers are still being read

    def _pass_answers(self, caller: socket.socket, peer: socket.socket) -> None:
        with suppress(OSError), peer.makefile("rb") as answers:
            while header := answers.read(_HEADER):
                body = answers.read(int.from_bytes(header[2:], "big"))
                if header[0] == _DATA_PDU and not self._open.is_set():
                    self.held.set()
                    self._open.wait()
                caller.sendall(header + body)
