"""Reading a study's results back through DICOMweb: QIDO-RS finds them, WADO-RS brings them."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path

from mome_node.errors import PacsError, QueryError
from mome_node.http_client import Service
from mome_node.query.dicomweb import DicomWeb
from mome_node.query.qido import QidoQuery
from mome_node.query.rate import RateLimiter
from mome_node.query.wado import WadoSource

_REQUESTS_PER_S = 1000.0  # the archive is the demonstration's own


def retrieve_new(
    base_url: str, study_uid: str, known: Container[str], into: Path
) -> tuple[Path, ...]:
    """Write the study's instances whose SOP Instance UID is not in ``known`` to files in ``into``.

    Sorted by series and instance UID. Raises PacsError when the PACS does not answer as it should.
    """
    web = DicomWeb(Service(base_url), RateLimiter(_REQUESTS_PER_S))
    into.mkdir(parents=True, exist_ok=True)
    paths = []
    try:
        for series_uid, uid in sorted(QidoQuery(web).instances_of_study(study_uid)):
            if uid not in known:
                path = into / f"{uid}.dcm"
                path.unlink(missing_ok=True)
                WadoSource(web).instance(study_uid, series_uid, uid, path)
                paths.append(path)
    except QueryError as error:
        raise PacsError(f"the PACS does not answer DICOMweb as it should: {error}") from error
    finally:
        web.close()
    return tuple(paths)
