"""What a training run is made of; read from TOML, overridable, stored beside its outputs."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator


def _rising(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] > pair[1]:
        raise ValueError("the lower end comes first")
    return pair


Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Range = Annotated[tuple[float, float], AfterValidator(_rising)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class GateConfig(_Section):
    """Network and training of the cough gate."""

    members: Count = 2
    """Networks that listen together. Where there is a teacher, the last of several is distilled from it
    (``training.distilled``); the others learn from labels, from different seeds, and count by their mean."""
    width: Count = 24
    """Channels of a member after the stem; later blocks have 2 to 6 times as many. Multiples
    of 8 suit the processors' vectors."""
    width_out: Count = 128
    epochs: Count = 20
    clips_per_epoch: Count = 6400
    batch_size: Count = 32
    crop_s: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 3.0
    """A second is the least: the teacher's windows are as long."""
    learning_rate: Positive = 3e-3
    weight_decay: Weight = 1e-3
    frame_loss: Weight = 0.5
    teacher_logit_loss: Weight = 1.0
    teacher_embedding_loss: Weight = 0.5
    mixup_probability: Share = 0.0
    """Share of batches whose clips are blended in pairs, labels with them (Zhang et al. 2018)."""
    hard_negative_mining: bool = True
    """Show what is still taken for a cough more often, epoch by epoch."""
    synthetic_share: Share = 0.08
    """Share of the other sounds that is synthetic: near-coughs of ``training.nearcoughs``, speech."""
    composed_share: Share = 0.0
    """Share of the clips that is cut from soundscapes, where it is known when somebody coughs; what 0.15
    changed is in ``training.composed``."""
    self_training: bool = True
    """Unlabelled clips get the label that a gate which never heard their source is sure of."""
    warm_start: bool = True
    """Each member goes on from the weights of a gate of ``training.loso``, which heard all but one part of
    the sources and nothing of the test fold: epochs that are paid for already."""
    frame_self_training: bool = True
    """Inside clips labelled cough, frames get the label that such a gate is sure of."""
    label_cleaning: bool = True
    """Clips labelled cough in which neither such a gate nor the teacher hears one are not learnt from."""
    bfloat16: bool = True
    """Convolutions in bfloat16: a third faster on processors that have it, weights stay float32."""
    score_frames: Count = 4
    """A clip's score is its highest mean over this many consecutive frames (4 x 40 ms)."""
    calibration_clips_per_group: Count = 10
    """So that no one person decides calibration and threshold."""
    target_sensitivity: Share = 0.95
    """On recordings of folds 1-4 scored by gates that never heard their source; the threshold is the one that
    has it, or that of equal sensitivity and specificity where that is higher."""

    @property
    def listens_to_heldout(self) -> bool:
        """Whether training needs the scores of gates that never heard a source."""
        return self.self_training or self.label_cleaning or self.frame_self_training


class LosoConfig(_Section):
    """The gates that are trained without some of the sources (``training.loso``)."""

    epochs: Count = 16
    """Fewer make an unheard source look worse than it will be: on the first
    two parts (1,232 coughs with sound, 1,726 others) one member had AUROC 0.981, hard 0.958, specificity at
    95 % sensitivity 0.918; two members with 8 epochs each, which take as long, 0.970, 0.951 and 0.841. Twice
    the steps by batches of 16 instead of 32 do not help: 0.980, 0.954 and 0.907. Crops of 1.5 s in the first
    ten epochs save 30 % of the time, and cost: 0.976, 0.951 and 0.865 where whole crops had 0.980, 0.957 and
    0.889."""
    members: Count = 1
    processes: Count = 2


class DistilledConfig(_Section):
    """The gate's last member where there is a teacher (``training.distilled``): it learns the teacher's
    embedding of every second and no label."""

    epochs: Count = 18
    """Of the member that ships, going on from one that learnt without a part of the sources."""
    loso_epochs: Count = 8
    """Of those that learn without a part."""
    mix_probability: Share = 0.3
    """As ``encoder.mix_probability``, of this member: what it hears around a cough is noise, too."""


class EncoderConfig(_Section):
    """Network and training of the embedding."""

    width: Count = 48
    embedding_size: Count = 384
    window_s: Positive = 1.0
    epochs: Count = 10
    batch_size: Count = 32
    learning_rate: Positive = 3e-3
    weight_decay: Weight = 1e-3
    class_loss: Weight = 0.3
    naming_loss: Weight = 0.1
    """Weight of naming a clip's sound among the classes of its source. Tried with width 32, four epochs and
    batches of 32 on folds 1-3, asked on fold 4: the squared distance to the teacher is 0.64 with 0.1 and 0.67
    with 0.3 (0.64 without, in batches of 64), ESC-50 by a linear layer 79.6 % either way."""
    named_share: Positive = 1.5
    """How much more often windows of a named sound are drawn."""
    augment_share: Share = 0.3
    """How much of the probabilities in ``augment`` is meant for the encoder: what is heard through a bad
    channel cannot be named as well as the teacher names the clean second, however large the network."""
    mix_probability: Share = 0.0
    """Share of windows with other sounds under them, of which the teacher heard nothing."""
    mix_snr_db: Range = (5.0, 25.0)
    bfloat16: bool = True


class AugmentConfig(_Section):
    """Probabilities and ranges of what is done to a training clip."""

    mix_probability: Share = 0.5
    mix_snr_db: Range = (-3.0, 25.0)
    noise_probability: Share = 0.35
    noise_snr_db: Range = (5.0, 40.0)
    room_probability: Share = 0.25
    equalise_probability: Share = 0.5
    equalise_db: Weight = 8.0
    telephone_probability: Share = 0.2
    low_pass_probability: Share = 0.2
    codec_probability: Share = 0.25
    clip_probability: Share = 0.15
    speed_probability: Share = 0.3
    """Gate only: faster or slower, as if by another throat."""
    speed_range: Range = (0.85, 1.18)
    shorten_probability: Share = 0.25
    """Clips cut to a second or less, coughs and others alike: brevity must not tell them apart."""
    spectrogram_mask_probability: Share = 0.3

    def lightened(self, share: float) -> AugmentConfig:
        """The same with this share of every probability."""
        lighter = {name: share * value for name, value in self if name.endswith("_probability")}
        return self.model_copy(update=lighter)


class TrainingConfig(_Section):
    """Everything that decides a bundle, besides the code and the data."""

    seed: Annotated[int, Field(ge=0)] = 20201
    threads: Count = 2
    train_folds: Annotated[tuple[int, ...], Field(min_length=1)] = (1, 2, 3, 4)
    test_fold: Literal[5] = 5
    """Every table and test of the project is of this fold."""
    licences: Literal["open", "all"] = "all"
    """``open`` leaves out the non-commercial sources; ``all`` takes every licensed one."""
    tracker: Literal["jsonl", "mlflow"] = "jsonl"
    """Where the figures of each epoch go (``training.tracking``); decides no outcome."""
    gate: GateConfig = GateConfig()
    loso: LosoConfig = LosoConfig()
    distilled: DistilledConfig = DistilledConfig()
    encoder: EncoderConfig = EncoderConfig()
    augment: AugmentConfig = AugmentConfig()

    @model_validator(mode="after")
    def _tests_on_what_it_does_not_learn_from(self) -> TrainingConfig:
        if self.test_fold in self.train_folds:
            raise ValueError(f"fold {self.test_fold} is for testing: it cannot be among train_folds")
        return self


def read_config(path: Path, overrides: list[str] | None = None) -> TrainingConfig:
    """Read a TOML file and apply ``section.key=value`` overrides (values in TOML syntax).

    Raises
    ------
    pydantic.ValidationError : an unknown key or a value of the wrong type
    ValueError : an override that is not ``key=value``
    """
    table: dict[str, Any] = tomllib.loads(path.read_text())
    for override in overrides or []:
        key, separator, value = override.partition("=")
        if not separator:
            raise ValueError(f"an override is key=value, not {override!r}")
        *sections, last = key.split(".")
        target = table
        for section in sections:
            target = target.setdefault(section, {})
            if not isinstance(target, dict):
                raise ValueError(f"{override!r}: {section} is no section")
        target[last] = tomllib.loads(f"value = {value}")["value"]
    return TrainingConfig.model_validate(table)
