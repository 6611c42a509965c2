"""Train one condition on any manifest and put it into a bundle: voters, mediator, evidence.

    python -m training.condition --config training/covid19.toml --manifest ../shared/corpus \\
        --bundle cough/models/default --out runs/with_condition

The config names the manifest's column, its words (the classes; two or more), the rows and the voters; how
they are trained and judged is in ``training.diagnosis``. A test fold and three others or more are needed;
folds are the manifest's ``split``, else follow from the person.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path

from cough import errors
from cough.bundle import DEFAULT_BUNDLE, load_bundle
from cough.manifest import Manifest
from training.card import write_bundle
from training.corpus import corpus_path
from training.diagnosis import read_condition, train_condition, with_condition
from training.recordings import collect
from training.stages import check_replaceable, code_version


def licences(manifest: Manifest, ids: set[str]) -> dict[str, int]:
    """How many of these recordings stand under each licence, most first, as the manifest states it."""
    recordings = (row.recording for row in manifest.rows())
    counts = Counter(r.licence or "not stated" for r in recordings if r.recording_id in ids)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def main() -> None:
    """Command line; ``--help`` tells."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--manifest", type=Path, default=corpus_path())
    parser.add_argument("--bundle", type=Path, default=DEFAULT_BUNDLE)
    parser.add_argument("--out", type=Path, required=True, help="may be --bundle itself")
    arguments = parser.parse_args()
    try:
        check_replaceable(arguments.out)
        config = read_condition(arguments.config)
        bundle = load_bundle(arguments.bundle)
        manifest = Manifest.open(arguments.manifest)
        old = next((c for c in bundle.spec.conditions if c.name == config.name), None)
        data = collect(manifest, config, bundle)
        # What symptoms tell is of the classes that they were judged for.
        symptoms = old.symptoms if old and old.classes == config.classes else None
        condition = train_condition(config, data, bundle, symptoms=symptoms)
        condition.figures["provenance"] = {
            "code_version": code_version(),
            "manifest_sha256": manifest.sha256(),
            "config": config.model_dump(mode="json"),
            "licences": licences(manifest, set(data.ids.tolist())),
        }
        write_bundle(with_condition(bundle, condition), arguments.out)
    except errors.CoughError as error:
        parser.exit(1, f"{error.code}: {error}\n")
    print(json.dumps(condition.figures, indent=1))


if __name__ == "__main__":
    main()
