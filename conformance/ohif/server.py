"""OHIF's built pages and a PACS's DICOMweb behind one loopback address, as at a site."""

from __future__ import annotations

import http.client
import json
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Self
from urllib.parse import urlsplit

from mome_node.demonstration.pacs.pacs import LOOPBACK

_DICOMWEB = "/dicom-web"
_TIMEOUT_S = 60.0
_CONFIGURATION = {
    "routerBasename": "/",
    "extensions": [],
    "modes": [],
    "showStudyList": True,
    "showLoadingIndicator": True,
    "investigationalUseDialog": {"option": "never"},  # it would lie over the thumbnails
    "maxNumberOfWebWorkers": 1,
    "defaultDataSourceName": "dicomweb",
    "dataSources": [
        {
            "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
            "sourceName": "dicomweb",
            "configuration": {
                "friendlyName": "PACS",
                "name": "pacs",
                "qidoRoot": _DICOMWEB,
                "wadoRoot": _DICOMWEB,
                "wadoUriRoot": _DICOMWEB,
                "imageRendering": "wadors",
                "thumbnailRendering": "wadors",
                "qidoSupportsIncludeField": False,
                "supportsFuzzyMatching": False,
                "supportsWildcard": True,
                "enableStudyLazyLoad": True,
                "omitQuotationForMultipartRequest": True,
                "bulkDataURI": {"enabled": True, "relativeResolution": "studies"},
            },
        }
    ],
}


class OhifServer:
    """Serves ``dist`` (OHIF's build) and forwards /dicom-web to ``dicomweb_url``."""

    def __init__(self, dist: Path, dicomweb_url: str) -> None:
        handler = partial(_Handler, dist=dist, upstream=dicomweb_url)
        self._server = ThreadingHTTPServer((LOOPBACK, 0), handler)
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self._server.server_port}"

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, *args: object, dist: Path, upstream: str) -> None:
        self._dist = dist
        self._upstream = urlsplit(upstream)
        super().__init__(*args, directory=str(dist))  # type: ignore[arg-type]  # http.server's own

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path.startswith(_DICOMWEB):
            self._forward()
        elif path == "/app-config.js":
            script = f"window.config = {json.dumps(_CONFIGURATION)};"
            self._answer(200, "text/javascript", script.encode())
        else:
            if not (self._dist / path.lstrip("/")).is_file():
                self.path = "/index.html"  # OHIF's own routes
            super().do_GET()

    def _forward(self) -> None:
        upstream = http.client.HTTPConnection(self._upstream.netloc, timeout=_TIMEOUT_S)
        target = self._upstream.path + self.path.removeprefix(_DICOMWEB)
        headers = {
            "Host": self.headers["Host"],  # Orthanc writes its absolute URLs from it
            "Accept": self.headers.get("Accept", "*/*"),
            "Accept-Encoding": "identity",
        }
        try:
            upstream.request("GET", target, headers=headers)
            answer = upstream.getresponse()
            content_type = answer.getheader("Content-Type", "application/octet-stream")
            self._answer(answer.status, content_type, answer.read())
        except OSError as error:
            self.send_error(502, str(error))
        finally:
            upstream.close()

    def _answer(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def end_headers(self) -> None:
        # Both let the page use shared memory, which Cornerstone's volumes need.
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()

    def log_message(self, *_: object) -> None:
        """The test's output is no access log."""
