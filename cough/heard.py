"""Which recordings a bundle was trained on: a score on one of them tells nothing.

A bundle lists fingerprints of the sound itself, so that a copy under another name or in another manifest
is known again, also where another processor decodes it with other last bits. A re-encoded, louder or cut
copy is another sound and is not known.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

import numpy as np

from cough import errors
from cough.audio import Float32
from cough.bundle import Bundle

HEARD = "heard.json"
_BYTES = 8
"""Of a sha256."""
_PARTS = 32
_STEP_DB = 0.1


def fingerprint(samples: Float32) -> str:
    """Of decoded sound, (n,) float32 at 16 kHz: 16 hex digits, from its length and how its level moves.

    Empty for silence, of which there are many.
    """
    # A hash of the samples would differ with the last bit of one of them. Levels of 32 parts in steps of
    # 0.1 dB tell recordings apart, and last bits change none of them but once in thousands of recordings.
    edges = np.linspace(0, len(samples), _PARTS + 1).astype(np.int64)
    lengths = np.diff(edges)
    # Of an empty part, ``reduceat`` gives what comes after it.
    energy = np.add.reduceat(np.append(np.square(samples, dtype=np.float64), 0.0), edges[:-1])
    power = np.where(lengths > 0, energy, 0.0) / np.maximum(lengths, 1)
    if not power.any():
        return ""
    steps = np.round(10 * np.log10(power + 1e-9) / _STEP_DB).astype("<i4")
    return hashlib.sha256(len(samples).to_bytes(8, "little") + steps.tobytes()).digest()[:_BYTES].hex()


def read_heard(bundle: Bundle) -> frozenset[str] | None:
    """Fingerprints of what the bundle was trained on; None where it does not say.

    Raises
    ------
    BundleIncompatible : its list is none
    """
    file = bundle.spec.training.heard
    if not file:
        return None
    try:
        listed = json.loads(bundle.contents[file])
    except ValueError:
        listed = None
    if not isinstance(listed, list) or not all(isinstance(one, str) for one in listed):
        raise errors.BundleIncompatible(f"{file} is no list of fingerprints.")
    return frozenset(listed)


def write_heard(fingerprints: Iterable[str]) -> bytes:
    """The file of a bundle; the same for the same recordings in any order."""
    return (json.dumps(sorted(set(fingerprints) - {""}), indent=0) + "\n").encode()
