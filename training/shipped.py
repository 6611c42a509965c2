"""The condition of the shipped bundle: COVID-19, from its sound and from what the person says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cough import errors
from cough.bundle import Bundle
from cough.manifest import Manifest
from training.config import TrainingConfig
from training.diagnosis import read_condition, train_condition, with_condition
from training.recordings import ConditionConfig, collect
from training.stages import PROJECT
from training.symptoms import COSWARA_TABLE, COUGHVID_TABLE, train_symptoms

COVID19 = PROJECT / "training" / "covid19.toml"


def shipped_condition(config: TrainingConfig) -> ConditionConfig:
    """Its config: the seed, test fold and tier of licences are those of the training."""
    condition = read_condition(COVID19)
    update: dict[str, Any] = {"seed": config.seed, "test_fold": str(config.test_fold)}
    if config.licences == "open":
        update["where"] = {**condition.where, "licence_class": "open"}
    return condition.model_copy(update=update)


def with_shipped_condition(
    bundle: Bundle, condition: ConditionConfig, *, roots: tuple[Path, ...], metadata: Path
) -> Bundle:
    """The bundle with the condition; without it where no corpus has the recordings that it is judged on.

    Parameters
    ----------
    roots : prepared corpora; the first that has the recordings gives them
    metadata : folder of the tables that the symptom voter is trained on; need not exist
    """
    tables = all((metadata / name).is_file() for name in (COSWARA_TABLE, COUGHVID_TABLE))
    symptoms = train_symptoms(metadata) if tables else None
    for root in roots:
        try:
            data = collect(Manifest.open(root), condition, bundle)
            return with_condition(bundle, train_condition(condition, data, bundle, symptoms=symptoms))
        except errors.ManifestInvalid as error:
            print(f"no {condition.name} from {root}: {error}")
    return bundle
