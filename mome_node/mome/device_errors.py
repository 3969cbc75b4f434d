"""PyTorch's errors on a device become ours, in one place and without PyTorch's words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from mome_node.errors import DeviceError, DeviceLostError, DeviceMemoryError

CPU = "cpu"

# PyTorch tells most of these by RuntimeErrors that differ in their words alone.
CPU_MEMORY = ("DefaultCPUAllocator", "can't allocate memory")
GPU_MEMORY = ("out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")
GPU_LOST = (
    "CUDA error",
    "CUDA driver",
    "CUDA-capable device",
    "CUBLAS_STATUS",
    "CUDNN_STATUS",
    "cuDNN error",
    "NCCL error",
)


@contextmanager
def device_errors(device: torch.device) -> Iterator[None]:
    """Raise DeviceMemoryError or DeviceLostError for what PyTorch raises when ``device`` fails.

    Everything else passes, also RuntimeErrors that are faults of a program.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        translated = _translated(error, str(device))
        if translated is None:
            raise
        raise translated from error


def _translated(error: MemoryError | RuntimeError, device: str) -> DeviceError | None:
    told = str(error)
    if isinstance(error, MemoryError) or any(words in told for words in CPU_MEMORY):
        return _memory(CPU)  # of the machine, wherever the model is
    if isinstance(error, torch.OutOfMemoryError):
        return _memory(device)
    accelerator = getattr(torch, "AcceleratorError", None)  # since PyTorch 2.8
    of_accelerator = accelerator is not None and isinstance(error, accelerator)
    if not of_accelerator and not any(words in told for words in GPU_LOST):
        return None
    if any(words in told for words in GPU_MEMORY):
        return _memory(device)
    return DeviceLostError(f"the device {device} does not answer any more", device)


def _memory(device: str) -> DeviceMemoryError:
    return DeviceMemoryError(f"not enough memory on {device} for this exam", device)
