"""The worked example of docs/examples: what arrives in one study, made by the node's own pipeline.

    python -m conformance.examples --out docs/examples

The exam is the phantom of `make demo`, the model the demonstration package. Everything is fixed,
dates too: on one machine every run makes the same bytes. Another processor rounds otherwise, and
pixels, scores and the UIDs that follow from them may then differ.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset

from conformance.study_results import request_for
from conformance.validators import dsrdump
from mome_node.assembly.study import plan_study
from mome_node.demonstration.run import SEED
from mome_node.dicom.rejection_note import RejectionTitle
from mome_node.jobs.evaluate_study import evaluate_study
from mome_node.jobs.models import ModelChoice, load_models
from mome_node.jobs.reading import read_study
from mome_node.jobs.requests import Evaluated, EvaluationRequest, MadeObject
from mome_node.phantom.dicom_writer import write_study
from mome_node.phantom.exam import PhantomExam, Protocol, Vendor
from mome_node.phantom.render import render_exam
from mome_node.results.context import ResultContext
from mome_node.results.findings import NotEvaluableStudy, SeriesUse
from mome_node.results.not_evaluable import make_not_evaluable_report
from mome_node.results.profile import KINDS, ResultProfile
from mome_node.results.rejection import RejectedInstance, make_rejection
from mome_node.results.result_set import encode
from mome_node.results.validation import refuse_invalid

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "examples"
PROFILE = ResultProfile(objects=KINDS, encoding="rle")
STUDY_DATE = date(2026, 11, 1)
LARGEST = 1_500_000
"""Bytes of an object that is still kept in the repository."""

DOCUMENTS = ("sr", "key_objects", "rejection", "not_evaluated")
"""What is text beside its DICOM file, as dsrdump prints it."""


def make_examples(out: Path) -> tuple[Path, ...]:
    """Make every file but the README, and return them; what stood there before is replaced."""
    out.mkdir(parents=True, exist_ok=True)
    for pattern in ("*.dcm", "*.png", "*.txt"):
        for old in out.glob(pattern):
            old.unlink()
    with TemporaryDirectory(prefix="examples-") as temporary:
        work = Path(temporary)
        exam = render_exam(SEED)
        request = _request(exam, work / "exam", work / "results")
        outcome = evaluate_study(request, load_models((ModelChoice(device="cpu"),)))
        assert isinstance(outcome, Evaluated), outcome
        for made, name in _named(outcome.objects):
            if made.path.stat().st_size <= LARGEST:
                shutil.copyfile(made.path, out / name)
    (out / "rejection.dcm").write_bytes(encode(_rejection(out / "seg.dcm", request)))
    with TemporaryDirectory(prefix="examples-") as temporary:
        (out / "not_evaluated.dcm").write_bytes(encode(_not_evaluated(Path(temporary))))
    for path in sorted(out.glob("*.dcm")):
        refuse_invalid(path.stem, path)
    for name in DOCUMENTS:
        (out / f"{name}.txt").write_text(dsrdump(out / f"{name}.dcm"), encoding="utf-8")
    for path in sorted(out.glob("summary-*.dcm")):
        Image.fromarray(dcmread(path).pixel_array).save(path.with_suffix(".png"), optimize=True)
    return tuple(sorted(p for p in out.iterdir() if p.suffix in (".dcm", ".png", ".txt")))


def _request(exam: PhantomExam, images: Path, results: Path) -> EvaluationRequest:
    paths = write_study(exam, images, vendor=Vendor.SIEMENS, study_date=STUDY_DATE)
    return replace(request_for(paths, results), profiles=(PROFILE,))


def _named(objects: Sequence[MadeObject]) -> Iterator[tuple[MadeObject, str]]:
    """Each object with its file name: that of its kind, and of several pictures a number."""
    told: Counter[str] = Counter()
    for made in objects:
        told[made.kind] += 1
        number = f"-{told[made.kind]}" if made.kind == "summary" else ""
        yield made, f"{made.kind}{number}.dcm"


def _rejection(seg: Path, request: EvaluationRequest) -> Dataset:
    """The note that a later revision sends of the SEG: an hour later, a late series say."""
    header = dcmread(seg, stop_before_pixels=True)
    rejected = RejectedInstance(
        str(header.StudyInstanceUID),
        str(header.SeriesInstanceUID),
        str(header.SOPClassUID),
        str(header.SOPInstanceUID),
    )
    return make_rejection(
        RejectionTitle.QUALITY,
        [rejected],
        header,
        recorded_at=request.recorded_at + timedelta(hours=1),
        profile=PROFILE,
        synthetic=True,
    )


def _not_evaluated(work: Path) -> Dataset:
    """The report on an exam whose dynamic has one phase only: a contrast series that never came."""
    exam = render_exam(SEED, protocol=Protocol((64, 64, 16), (32, 32, 8), (64, 64, 12)))
    alone = replace(exam, dce=exam.dce[:1], phase_times_s=exam.phase_times_s[:1])
    request = _request(alone, work / "exam", work / "results")
    facts = read_study(request.instances)
    plan = plan_study(
        facts.instances, request.rules, now=request.recorded_at, unreadable=facts.unreadable
    )
    assert plan.coded_reasons, "the study could be evaluated"
    said = NotEvaluableStudy(
        study_uid=plan.study_uid,
        reasons=plan.coded_reasons,
        series=tuple(
            SeriesUse(s.series_uid, s.series_number, s.description, s.role.value, None, s.reason)
            for s in plan.series
        ),
        demonstration=True,
        synthetic=plan.synthetic,
    )
    context = ResultContext(plan.study_uid, 0, "", 0, request.recorded_at, PROFILE)
    header = dcmread(request.instances[0].path, stop_before_pixels=True)
    return make_not_evaluable_report(said, context, header)


def main() -> int:
    """Make the examples and say which."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=FOLDER)
    for path in make_examples(parser.parse_args().out):
        sys.stdout.write(f"{path} {path.stat().st_size}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
