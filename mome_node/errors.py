"""Every error this node raises on purpose, in one tree.

NodeError
├── SettingsError            a setting is unknown or has a value that is not allowed
├── DicomError               an object is not what DICOM says it should be
│   ├── HeaderError          the header cannot be read, or lacks what identifies the object
│   └── PixelDataError       the pixel data cannot be decoded
├── TableError               a table of series cannot be read or written
├── StorageError             an instance cannot be kept or found
│   └── StorageFullError         there is no room for another instance
├── CatalogError             the catalogue contradicts the request
│   ├── UnknownStudyError
│   ├── TransitionRefusedError
│   ├── CatalogFullError     there is no room for another row
│   └── NoticeTooLargeError  availability notices name more than is kept
├── VolumeError              images do not make one volume (its subclasses name the reason)
│   ├── TiledImageError      one plane holds several slices side by side (mosaic)
│   ├── PlaneGeometryError   a plane does not say, or not sensibly, where it lies
│   ├── MixedMatrixError     planes of different size or pixel spacing
│   ├── MixedOrientationError    planes that are not parallel, or not stacked straight
│   ├── TooFewSlicesError
│   ├── DoubledSlicesError   several planes at one place
│   ├── MissingSlicesError   gaps between planes that are not even
│   ├── VolumeTooLargeError
│   └── UnreadableSliceError     a plane whose file cannot be read or decoded
├── ModelError
│   ├── CheckpointError      weights that cannot be imported
│   ├── PackageError         a model package that is incomplete, altered or contradictory
│   ├── ModelInputError      an exam that this model cannot take
│   ├── NotANumberError      an answer that holds NaN or infinite values: there is no score
│   └── DeviceError          where the model runs failed: nothing is wrong with the exam
│       ├── DeviceMemoryError    it has not enough memory
│       └── DeviceLostError      it does not answer any more
├── ResultError              a result object cannot be made
│   └── InvalidResultError   one was made that is not what it has to be: it is not sent
├── DeliveryError
│   ├── TransientDeliveryError   worth another try
│   │   ├── RefusedForNowError       the peer answers, and not as it should
│   │   └── InterruptedDeliveryError the link broke over an instance
│   └── PermanentDeliveryError   waits for a person
├── HttpError                an HTTP service cannot be used: told as a DeliveryError or QueryError
├── QueryError               an archive cannot be asked (C-FIND, QIDO-RS), or not be understood
│   ├── ArchiveUnavailableError  it is away, busy or silent: ask again later
│   │   └── QuestionFailedError      it answers, and not this question
│   ├── QueryRefusedError    it refuses us, or what was asked, for good
│   ├── AnswerTooLargeError  it answers with more than is taken
│   ├── MalformedAnswerError     its answer is not what DICOM says it should be
│   └── ContradictoryAnswerError     it lists one study under several patients
├── PhantomError
├── PacsError                the demonstration's PACS cannot be started or asked
└── BenchmarkError           what a benchmark compares with cannot be started, or failed

A message says what was found, what is allowed and what to do. It never holds patient data.
"""

from enum import StrEnum


class NodeError(Exception):
    """Root of every error that this node raises on purpose."""


class SettingsError(NodeError):
    """A setting is unknown or has a value that is not allowed."""


class DicomError(NodeError):
    """An object is not what DICOM says it should be."""


class HeaderError(DicomError):
    """The header cannot be read, or lacks what identifies the object."""


class PixelDataError(DicomError):
    """The pixel data cannot be decoded."""


class TableError(NodeError):
    """A table of series attributes cannot be read or written."""


class StorageError(NodeError):
    """An instance cannot be kept or found."""


class StorageFullError(StorageError):
    """There is no room for another instance."""


class CatalogError(NodeError):
    """The catalogue contradicts the request."""


class UnknownStudyError(CatalogError):
    """The catalogue holds no such study."""


class TransitionRefusedError(CatalogError):
    """The study is not in the state that the transition starts from."""


class CatalogFullError(CatalogError):
    """There is no room for another row."""


class NoticeTooLargeError(CatalogError):
    """Availability notices name more instances of a study than are kept."""


class VolumeError(NodeError):
    """Images do not make one volume."""


class TiledImageError(VolumeError):
    """One plane holds several slices side by side (mosaic)."""


class PlaneGeometryError(VolumeError):
    """A plane does not say, or not sensibly, where it lies in the patient."""


class MixedMatrixError(VolumeError):
    """Planes have different numbers of rows or columns, or different pixel spacing."""


class MixedOrientationError(VolumeError):
    """Planes are not parallel, or not stacked straight along their normal."""


class TooFewSlicesError(VolumeError):
    """There are fewer planes than a volume needs."""


class DoubledSlicesError(VolumeError):
    """Several planes lie at one place."""


class MissingSlicesError(VolumeError):
    """The gaps between planes are not even: some are missing."""


class VolumeTooLargeError(VolumeError):
    """The volume would have more voxels than allowed."""


class UnreadableSliceError(VolumeError):
    """The file of a plane cannot be read or decoded, or is another instance.

    ``sop_instance_uid`` names the plane's instance.
    """

    def __init__(self, told: str, sop_instance_uid: str = "") -> None:
        super().__init__(told, sop_instance_uid)  # both, so that it pickles
        self.sop_instance_uid = sop_instance_uid

    def __str__(self) -> str:
        return str(self.args[0])


class ModelError(NodeError):
    """The model cannot be used as asked."""


class CheckpointError(ModelError):
    """Weights that cannot be imported."""


class PackageError(ModelError):
    """A model package that is incomplete, altered or contradictory."""


class ModelInputError(ModelError):
    """An exam that this model cannot take."""


class NotANumberError(ModelError):
    """The network's answer holds NaN or infinite values: there is no score."""


class DeviceError(ModelError):
    """Where the model runs failed; nothing is wrong with the exam.

    ``device`` names it as PyTorch does, such as "cpu" or "cuda:0".
    """

    def __init__(self, told: str, device: str) -> None:
        super().__init__(told, device)  # both, so that it pickles
        self.device = device

    def __str__(self) -> str:
        return str(self.args[0])


class DeviceMemoryError(DeviceError):
    """A device has not enough memory for the exam."""


class DeviceLostError(DeviceError):
    """A device does not answer any more."""


class ResultError(NodeError):
    """A result object cannot be made."""


class InvalidResultError(ResultError):
    """A result object was made that is not what it has to be: it is not sent."""


class DeliveryError(NodeError):
    """A result could not be delivered."""


class TransientDeliveryError(DeliveryError):
    """A delivery that is worth another try."""


class RefusedForNowError(TransientDeliveryError):
    """The peer answers: that it cannot do it now, or what cannot be used."""


class InterruptedDeliveryError(TransientDeliveryError):
    """The link broke, or fell silent, while an instance was sent: it may have arrived, or be why.

    ``sop_instance_uid`` names it.
    """

    def __init__(self, told: str, sop_instance_uid: str) -> None:
        super().__init__(told, sop_instance_uid)  # both, so that it pickles
        self.sop_instance_uid = sop_instance_uid

    def __str__(self) -> str:
        return str(self.args[0])


class PermanentDeliveryError(DeliveryError):
    """A delivery that no retry will mend."""


class HttpFault(StrEnum):
    """What is wrong with an HTTP service."""

    AWAY = "away"  # or busy, or silent: ask again later
    REFUSED = "refused"
    TOO_LARGE = "too large"
    MALFORMED = "malformed"


class HttpError(NodeError):
    """An HTTP service cannot be used. Who asked it tells it on in an error of their own.

    ``reached``: there was a connection, and it was lost or fell silent.
    """

    def __init__(self, fault: HttpFault, told: str, *, reached: bool = False) -> None:
        super().__init__(fault, told)  # both, so that it pickles
        self.fault = fault
        self.reached = reached

    def __str__(self) -> str:
        return str(self.args[1])


class QueryError(NodeError):
    """An archive cannot be asked, or its answer cannot be used."""


class ArchiveUnavailableError(QueryError):
    """The archive is away, busy or silent: worth another try."""


class QuestionFailedError(ArchiveUnavailableError):
    """The archive answers, and not this question: others may fare better."""


class QueryRefusedError(QueryError):
    """The archive refuses us, or what was asked, for good."""


class AnswerTooLargeError(QueryError):
    """The archive answers with more than is taken."""


class MalformedAnswerError(QueryError):
    """The archive's answer is not what DICOM says it should be."""


class ContradictoryAnswerError(QueryError):
    """The archive lists one study several times, under different patients or orders."""


class PhantomError(NodeError):
    """A phantom cannot be made as asked."""


class PacsError(NodeError):
    """The demonstration's PACS cannot be started or asked."""


class BenchmarkError(NodeError):
    """What a benchmark compares with cannot be started, or did not do what was asked."""
