"""Embeddings of mixes: a slot for any network or function, a plain one of features, and Frechet's distance between sets."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from mixing.errors import UserError
from mixing.evaluation.audio_features import features

Embedding = Callable[[np.ndarray, float], Any]
"""(audio (2, T) float64, sample rate in Hz) -> a vector (D,), or several (n, D) of one mix, as of its windows."""

WINDOW_S = 5.0


def find(path: str) -> Embedding:
    """An embedding by its import path, `package.module:function`.

    Raises:
        UserError: no such module or function.
    """
    module, _, name = path.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"--embedding {path}: cannot be imported ({error}); give package.module:function.") from None
    if not callable(found):
        raise UserError(f"--embedding {path}: is no function; give package.module:function, of (audio (2, T), rate) -> vector.")
    return found


def embed(embedding: Embedding, audio: np.ndarray, sample_rate: float) -> np.ndarray:
    """The embedding's vectors of one mix, (n, D) float64.

    Raises:
        ValueError: it gave no vectors, or some that are not finite.
    """
    given = embedding(audio, sample_rate)
    vectors = np.atleast_2d(np.asarray(given.detach().cpu() if hasattr(given, "detach") else given, np.float64))
    if vectors.ndim != 2 or not vectors.size or not np.isfinite(vectors).all():
        raise ValueError(f"embedding: expected finite vectors (D,) or (n, D); got {vectors.shape}.")
    return vectors


def cosine_distance(a: np.ndarray, b: np.ndarray) -> float:
    """1 - cosine between the means of two sets of vectors (n, D): 0 for one direction, 2 for opposite ones, NaN for none."""
    a, b = a.mean(0), b.mean(0)
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    return 1 - float(a @ b) / size if size else float("nan")


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Frechet's distance of two sets of vectors a and b, (n, D), each taken for Gaussian (Dowson and Landau 1982), as in FID and
    FAD:

        |m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2))

    The trace of the root is taken of the symmetric C_a^(1/2) C_b C_a^(1/2), which has the same eigenvalues and stays exact for
    singular covariances, such as those of fewer vectors than dimensions. Those make the distance of two samples of one
    distribution large, though: have several vectors a dimension.

    Raises:
        ValueError: fewer than two vectors in a set, or dimensions that differ.
    """
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise ValueError(f"frechet_distance: expected two sets (n, D) of two vectors at least; got {a.shape} and {b.shape}.")
    first, second = (np.atleast_2d(np.cov(x, rowvar=False)) for x in (a, b))
    values, vectors = np.linalg.eigh(first)
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ second @ root), 0)).sum()
    return float(np.square(a.mean(0) - b.mean(0)).sum() + np.trace(first) + np.trace(second) - 2 * cross)


def feature_vectors(audio: np.ndarray, sample_rate: float) -> np.ndarray:
    """A plain embedding without training: for every 5 s (or the whole, where it is shorter) the means of the features over time,
    each scaled to order one. It hears what the table hears; for style, give a trained network.

    Returns:
        (n, 13): loudness, centroid, bandwidth, contrast low / mid / high, roll-off, flatness, panning low / mid / high, crest
        factor, dynamic spread.
    """
    size = round(WINDOW_S * sample_rate)
    starts = range(0, max(1, audio.shape[1] - size + 1), size)
    parts = [part for s in starts if (part := audio[:, s : s + size]).any()]
    return np.stack([_vector(part, sample_rate) for part in parts]) if parts else np.zeros((0, 13))


def _vector(audio: np.ndarray, sample_rate: float) -> np.ndarray:
    f = features(audio, sample_rate)
    contrast = f.contrast_db.mean((0, 2)) / 10
    hertz = (np.log2(1 + x.mean() / 1000) for x in (f.centroid_hz, f.bandwidth_hz))
    panning, dynamics = 4 * f.panning[1:].mean(1), (f.crest_db.mean() / 6, np.maximum(f.spread_db, -60).mean() / 6)
    spectrum = (
        contrast[0],
        contrast[1:4].mean(),
        contrast[-1],
        np.log2(1 + f.rolloff_hz.mean() / 1000),
        f.flatness_db.mean() / 20,
    )
    return np.array([f.lufs.mean() / 6, *hertz, *spectrum, *panning, *dynamics])
