"""C-ECHO in plain words."""

from __future__ import annotations

import socket

from mome_node.delivery.destination import Destination
from mome_node.delivery.ping import ping


def test_peer_that_answers_is_reached(start_peer, short):
    echo = ping(start_peer().destination(), short)
    assert echo.reached
    assert "answered C-ECHO in" in echo.words


def test_wrong_ae_title_is_told(start_peer, short):
    echo = ping(start_peer(check_called=True).destination("WRONG"), short)
    assert not echo.reached
    assert "AE title WRONG" in echo.words


def test_peer_that_is_away_is_told(short):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        away = Destination("pacs", "PACS", "127.0.0.1", unused.getsockname()[1], "MOME")
        echo = ping(away, short)
    assert not echo.reached
    assert "is the peer running" in echo.words
