"""Integrated gradients at the DCE's tokens: for networks that are too large for those at voxels.

The tokenizer gives zeros for a DCE of zeros, so that the path from no tokens to the exam's tokens
starts where nothing enhances, too. It does not meet the tokenizer's norms, which take the scale out
of their input and make the path through the voxels so steep. Each value of a token was pooled from
one cell of 8 x 8 x 8 voxels, and its attribution goes back to that cell.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.polynomial.legendre import leggauss
from numpy.typing import NDArray
from torch import Tensor

from mome_node.dicom.geometry import Grid
from mome_node.errors import ModelInputError, NotANumberError
from mome_node.mome.layers import Streams
from mome_node.mome.network import Mome
from mome_node.mome.predict import ExamRun
from mome_node.mome.prediction import Attribution
from mome_node.mome.voxel_gradients import SMALLEST_DIFFERENCE, log_odds
from mome_node.volumes.resample import resample
from mome_node.volumes.volume import Modality, Volume

CELL = 8
"""Voxels from one cell to the next: three strides of 2."""

METHOD = "integrated gradients at the tokens"


def token_gradients(
    network: Mome, run: ExamRun, *, positive_class: int, dce_grid: Grid, steps: int
) -> Attribution:
    """Attribution of one exam's score to the cells of its DCE, spread over the voxels.

    ``steps`` gradients are taken, at the places of Gauss and Legendre's rule. What their sum misses
    of the score's difference, which is computed, too, is the completeness gap. The other
    modalities are held. Raises ModelInputError where there was no DCE, NotANumberError for such
    gradients.
    """
    if steps < 1:
        raise ValueError(f"steps = {steps}: at least 1")
    if run.tokens is None or run.places is None:
        raise ModelInputError("without DCE there is no attribution: it is taken to the DCE")
    path = _Path(network, run, run.tokens, positive_class)
    total = torch.zeros_like(run.tokens)
    for place, weight in zip(*gauss_legendre(steps), strict=True):
        total += weight * path.gradient(place)
    attributed = (total * run.tokens).double()  # (1, T, D)
    change = path.change()
    gap = abs(float(attributed.sum()) - change) / max(abs(change), SMALLEST_DIFFERENCE)
    if not np.isfinite(gap):
        raise NotANumberError("the network's gradient holds NaN or infinite values")
    cells = _cells(attributed, run.places, network.config.dce.size)
    return Attribution(
        array=_over_voxels(cells, dce_grid),
        grid=dce_grid,
        completeness_gap=gap,
        method=METHOD,
        steps=steps,
    )


@dataclass(frozen=True, slots=True)
class _Path:
    """From no DCE tokens to the exam's, everything else held."""

    network: Mome
    run: ExamRun
    tokens: Tensor
    positive_class: int

    def gradient(self, place: float) -> Tensor:
        """The score's gradient to the tokens at a place of the path, 0 to 1; (1, T, D)."""
        tokens = (self.tokens * place).requires_grad_()
        network = self.network
        with torch.enable_grad():
            stream = network.specialise(Modality.DCE, network.place(Modality.DCE, tokens))
            score = self._score(stream)
            (gradient,) = torch.autograd.grad(score, tokens)
        return gradient

    def change(self) -> float:
        """The score at the path's end, which is known, less that at its beginning."""
        with torch.no_grad():
            nothing = self._score(self.network.unenhanced_stream())
        whole = max(self.run.logits, key=len)
        return float(log_odds(self.run.logits[whole][None], self.positive_class)) - float(nothing)

    def _score(self, stream: Tensor) -> Tensor:
        """The score of a DCE stream (1, 1 + T, D) beside the others as they are."""
        others: Streams = {m: x for m, x in self.run.streams.items() if m is not Modality.DCE}
        logits = self.network.decide({Modality.DCE: stream, **others})
        return log_odds(logits, self.positive_class).sum()


def gauss_legendre(count: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Places between 0 and 1 and their weights; exact for polynomials of degree 2 count - 1."""
    x, weights = leggauss(count)
    return tuple(((x + 1) / 2).tolist()), tuple((weights / 2).tolist())


def _cells(attributed: Tensor, places: Tensor, size: tuple[int, int, int]) -> Tensor:
    """(1, T, D) to the cells that they were pooled from, summed over D: (x/8, y/8, z/8) float64."""
    x, y, z = (n // CELL for n in size)
    cells = torch.zeros(x * y * z, dtype=torch.float64, device=attributed.device)
    by_value = attributed[0].T.flatten()  # (D T), as the places are
    return cells.index_add_(0, places.flatten(), by_value).view(x, y, z)


def _over_voxels(cells: Tensor, grid: Grid) -> NDArray[np.float32]:
    """The cells' attribution on the voxels' grid (x, y, z), linear between the cells' middles."""
    affine = grid.affine.copy()
    affine[:3, :3] *= CELL  # a cell's middle is the voxel that its strides start from
    array: NDArray[np.float32] = (cells / CELL**3).to(torch.float32).cpu().numpy()
    x, y, z = array.shape
    return resample(Volume(array, Grid((x, y, z), affine)), grid).array
