"""Golden vectors of the shipped bundle on the synthetic examples, for ``tests/training``.

python -m training.golden tests/training/golden.json
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from cough.audio import decode
from cough.bundle import load_bundle
from cough.encoder import Encoder
from cough.gate import CoughGate
from training.stages import PROJECT

EXAMPLES = PROJECT / "cough" / "examples"


def golden_vectors() -> dict[str, Any]:
    """Frame probabilities, clip score and the first 8 embedding values of each example."""
    bundle = load_bundle()
    gate, encoder = CoughGate(bundle), Encoder(bundle)
    examples = {}
    for path in sorted(EXAMPLES.glob("synthetic_*")):
        samples = decode(path).samples
        found = gate.detect(samples)
        examples[path.name] = {
            "cough_score": round(found.cough_score, 6),
            "frame_probabilities": [round(float(p), 6) for p in found.frame_probabilities],
            "embeddings": encoder.embed(samples, found.events)[:, :8].astype(float).round(6).tolist(),
        }
    return {"bundle_id": bundle.spec.bundle_id, "examples": examples}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("path", type=Path)
    parser.parse_args().path.write_text(json.dumps(golden_vectors()) + "\n")
