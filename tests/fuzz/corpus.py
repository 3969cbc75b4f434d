"""The seeds of the fuzzer: files of real scanners, of broken software, and of the phantom."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from pydicom.uid import UID, MRImageStorage

from mome_node.dicom.classes import decodable_transfer_syntaxes
from mome_node.dicom.uids import is_valid_uid
from mome_node.phantom.dicom_writer import write_study
from mome_node.phantom.exam import Protocol, Vendor
from mome_node.phantom.render import render_exam
from tests.fuzz.elements import Coding, Elements, parse

DATA = Path(__file__).parents[1] / "data" / "dicom"
LARGEST = 40_000  # bytes of a file: what is large in others is pixel data
_KEPT_PIXELS = 64
_SOP_CLASS, _SOP_INSTANCE, _PIXELS = 0x00080016, 0x00080018, 0x7FE00010
_SMALL = Protocol((16, 16, 2), (16, 16, 2), (16, 16, 2))


@dataclass(frozen=True, slots=True)
class Seed:
    """A data set as it came, and as a tree if it is sound enough for one."""

    name: str
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    data: bytes
    elements: Elements = ()

    @property
    def coding(self) -> Coding:
        syntax = UID(self.transfer_syntax_uid)
        return Coding(syntax.is_implicit_VR, syntax.is_little_endian)


@cache
def file_seeds() -> tuple[Seed, ...]:
    """The files of tests/data/dicom that are small enough, always in the same order."""
    files = [p for p in sorted(DATA.rglob("*.dcm")) if p.stat().st_size <= LARGEST]
    return tuple(read_seed(path.relative_to(DATA).as_posix(), path.read_bytes()) for path in files)


def phantom_seeds(folder: Path) -> tuple[Seed, ...]:
    """Slices of a phantom's exam, written into ``folder``."""
    paths = write_study(render_exam(5, protocol=_SMALL), folder, vendor=Vendor.SIEMENS)
    return tuple(read_seed(f"phantom/{path.name}", path.read_bytes()) for path in paths[::7])


def read_seed(name: str, file: bytes) -> Seed:
    """Read a file (PS3.10), however bad it is."""
    begin, syntax = _data_set(file)
    if syntax not in decodable_transfer_syntaxes():
        syntax = "1.2.840.10008.1.2.1"
    seed = Seed(name, str(MRImageStorage), "1.2.3", syntax, file[begin:])
    if UID(syntax).is_deflated:
        return seed
    try:
        elements = parse(seed.data, seed.coding)
    except (ValueError, struct.error, RecursionError):
        return seed
    values = {e.tag: e.value for e in elements if isinstance(e.value, bytes)}
    short = tuple(
        replace(e, value=e.value[:_KEPT_PIXELS])
        if e.tag == _PIXELS and isinstance(e.value, bytes)
        else e
        for e in elements
    )
    return replace(
        seed,
        sop_class_uid=_uid(values.get(_SOP_CLASS), seed.sop_class_uid),
        sop_instance_uid=_uid(values.get(_SOP_INSTANCE), seed.sop_instance_uid),
        elements=short,
    )


def _uid(value: bytes | None, otherwise: str) -> str:
    text = (value or b"").rstrip(b"\0 ").decode("ascii", "replace")
    return text if is_valid_uid(text) else otherwise


def _data_set(data: bytes) -> tuple[int, str]:
    """Where group 0002 ends, whatever it says of its own length; and its transfer syntax."""
    position = 132 if data[128:132] == b"DICM" else 0
    syntax = ""
    while position + 12 <= len(data):
        group, element, vr, length = struct.unpack_from("<HH2sH", data, position)
        if group != 2:
            break
        position += 8
        if vr in (b"OB", b"UN"):
            (length,) = struct.unpack_from("<L", data, position)
            position += 4
        if element == 0x0010:
            syntax = data[position : position + length].rstrip(b"\0 ").decode("latin-1")
        position += length
    return position, syntax
