"""A condition from a manifest, a config and one command; judged beside levels; only then may it answer."""

from __future__ import annotations

import csv
import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import lfilter

from cough import errors
from cough.bundle import Bundle, load_bundle
from cough.diagnosis import Voter
from cough.gate import CoughGate
from cough.manifest import Manifest
from cough.mediator import geometric_mean, pool, prediction_set
from cough.screener import Screener
from training import condition, synth
from training.diagnosis import read_condition, train_condition, with_condition
from training.recordings import ConditionConfig, Recordings, check_apart, collect
from training.voters import calibrate, conformal_quantiles, log_softmax, macro_auroc, voter_kinds

CLASSES = ("healthy", "asthma", "pertussis")
TOML = """
name = "made_up"
title = "Made up, from the sound of the cough alone"
classes = ["healthy", "asthma", "pertussis"]
column = "status"
where = {{ source = "synthetic" }}
test_set = "synthetic coughs, fold 5"
bands = ["telephone", "wide"]
voters = {voters}
network_epochs = 1
"""


def bout(random: np.random.Generator, tilt: float, gate: CoughGate) -> np.ndarray:
    """Two coughs of a colour, one of which the shipped gate hears at least."""
    while True:
        samples = lfilter([1.0, -tilt], [1.0], synth.cough_bout(random, coughs=2, duration_s=2.5))
        samples *= 10 ** random.uniform(-0.5, 0) * 0.5 / np.abs(samples).max()
        if gate.detect(samples.astype(np.float32)).events:
            return samples


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Synthetic coughs whose colour tells the class, two recordings a person; a tone; a broken file."""
    root, gate = tmp_path_factory.mktemp("corpus"), CoughGate(load_bundle())
    random = np.random.default_rng(8)
    rows = []
    for person in range(45):
        status = CLASSES[person % 3]
        for take in range(2):
            samples = bout(random, {"healthy": 0.0, "asthma": 0.6, "pertussis": -0.6}[status], gate)
            name = f"{person}_{take}.wav"
            soundfile.write(root / name, samples, 16_000)
            licence = "CC0-1.0" if person else ""
            rows.append((name, name, f"p{person}", person // 3 % 5 + 1, "synthetic", status, licence))
    soundfile.write(root / "tone.wav", 0.1 * np.sin(np.arange(32_000) * 2 * np.pi * 440 / 16_000), 16_000)
    rows.append(("tone", "tone.wav", "p0", 1, "synthetic", "healthy", ""))
    (root / "broken.wav").write_bytes(b"RIFF")
    rows.append(("broken", "broken.wav", "p0", 1, "synthetic", "healthy", ""))
    rows.append(("other", "0_0.wav", "p0", 1, "elsewhere", "healthy", ""))
    rows.append(("unsaid", "0_0.wav", "p0", 1, "synthetic", "", ""))
    with open(root / "recordings.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("recording_id", "path", "subject_id", "fold", "source", "status", "licence"))
        writer.writerows(rows)
    return root


def config_of(tmp_path: Path, *voters: str) -> Path:
    path = tmp_path / "made_up.toml"
    path.write_text(TOML.format(voters=json.dumps(voters)))
    return path


def test_one_command_adds_a_condition_of_three_classes(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "bundle"
    config = config_of(tmp_path, "embedding", "classical")
    command = f"condition --config {config} --manifest {corpus} --out {out}"
    monkeypatch.setattr(sys, "argv", command.split())
    condition.main()
    figures = json.loads(capsys.readouterr().out)
    bundle = load_bundle(out)
    spec = bundle.spec.conditions[-1]
    assert (spec.name, spec.classes) == ("made_up", CLASSES)
    assert [v.hears for v in spec.voters] == ["embeddings", "coughs"]
    assert bundle.spec.metrics["made_up"] == figures
    assert spec.name in (out / "CARD.md").read_text()
    assert figures["training"]["left_out"]["not_audio"] == 1
    assert figures["provenance"]["manifest_sha256"] == Manifest.open(corpus).sha256()
    under = figures["provenance"]["licences"]
    assert list(under) == ["CC0-1.0", "not stated"] and under["not stated"] <= 2
    assert (
        f"as stated: {under['CC0-1.0']} CC0-1.0, {under['not stated']} not stated."
        in (out / "CARD.md").read_text()
    )
    assert spec.evidence.auroc > 0.8
    # No row is lost on the way: in the tone the gate hears no cough.
    assert figures["training"]["left_out"]["no_cough"] == 1
    used = spec.evidence.n_recordings + sum(figures["training"]["recordings"].values())
    assert used == 90
    assert sum(under.values()) == used
    assert spec.evidence.n_recordings == 18
    result = Screener(out).screen(corpus / "4_0.wav")
    answer = result.conditions[-1]
    assert answer.name == "made_up"
    assert set(answer.probabilities) == set(CLASSES)
    assert max(answer.probabilities, key=lambda c: answer.probabilities[c]) == "asthma"
    assert [c.name for c in bundle.spec.conditions[:-1]] == [c.name for c in load_bundle().spec.conditions]


def test_twice_gives_the_same_bundle(corpus: Path, tmp_path: Path, bundle: Bundle) -> None:
    config = read_condition(config_of(tmp_path, "embedding", "classical", "network"))
    data = collect(Manifest.open(corpus), config, bundle)
    first, second = (
        with_condition(bundle, train_condition(config, data, bundle)).spec.files for _ in range(2)
    )
    assert first == second
    assert {"made_up.embedding.onnx", "made_up.classical.onnx", "made_up.network.onnx"} <= set(first)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"column": "nonsense"}, "no column nonsense"),
        ({"classes": ("healthy", "never")}, "No row of made_up is never"),
        ({"test_fold": "9"}, "its folds are 1, 2, 3, 4, 5, the test fold 9"),
        ({"test_fold": "1", "where": {"source": "synthetic", "fold": "1"}}, "three training folds"),
    ],
)
def test_what_cannot_be_trained_is_said(
    corpus: Path, tmp_path: Path, bundle: Bundle, change: dict[str, object], what: str
) -> None:
    config = read_condition(config_of(tmp_path, "embedding")).model_copy(update=change)
    with pytest.raises(errors.ManifestInvalid, match=what):
        train_condition(config, collect(Manifest.open(corpus), config, bundle), bundle)


def test_what_is_left_out_is_said_where_nothing_is_left(corpus: Path, tmp_path: Path, bundle: Bundle) -> None:
    """Missing files were blamed on coughs."""
    lines = (corpus / "recordings.csv").read_text()
    (tmp_path / "recordings.csv").write_text(lines.replace(".wav", ".away"))
    config = read_condition(config_of(tmp_path, "embedding"))
    with pytest.raises(errors.ManifestInvalid, match="Left out: 92 file_missing"):
        collect(Manifest.open(tmp_path / "recordings.csv"), config, bundle)


def test_a_recording_named_twice_counts_for_nobody(corpus: Path, tmp_path: Path, bundle: Bundle) -> None:
    head, first, *rest = (corpus / "recordings.csv").read_text().splitlines()
    (tmp_path / "recordings.csv").write_text("\n".join([head, first, first, *rest]))
    config = read_condition(config_of(tmp_path, "embedding"))
    with pytest.raises(errors.ManifestInvalid, match="named twice"):
        collect(Manifest.open(tmp_path / "recordings.csv"), config, bundle)


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ('"healthy", "asthma"', '"healthy", "inconclusive"', "inconclusive"),
        ('"healthy", "asthma"', '"pertussis", "asthma"', "classes names one twice"),
        ('["embedding"]', "[]", "voters"),
        ('["embedding"]', '["embedding", "embedding"]', "voters names one twice"),
        ("network_epochs", "foo", "foo: Extra inputs"),
        ("Made up", "\udcff", "utf-8"),
    ],
)
def test_a_config_that_makes_no_sense_is_one_line(tmp_path: Path, old: str, new: str, what: str) -> None:
    path = config_of(tmp_path, "embedding")
    text = path.read_text().replace(old, new)
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(errors.ManifestInvalid, match=what) as error:
        read_condition(path)
    assert "\n" not in str(error.value)


def test_a_sound_of_two_classes_is_refused(bundle: Bundle) -> None:
    data = made(signal=1.0, level_signal=0.0, bundle=bundle)
    row = int(np.flatnonzero((data.labels != data.labels[0]) & (data.folds == data.folds[0]))[0])
    marks = data.fingerprints.copy()
    marks[row] = marks[0]
    with pytest.raises(errors.ManifestInvalid, match="two classes"):
        check_apart(dataclasses.replace(data, fingerprints=marks), "made_up")


def test_a_network_voter_needs_this_projects_encoder(bundle: Bundle) -> None:
    data = made(signal=1.0, level_signal=0.0, bundle=bundle)
    another = bundle.contents[bundle.spec.gate.file]
    with pytest.raises(errors.BundleIncompatible, match="leave it out"):
        voter_kinds(("network",), data, n_classes=2, encoder_onnx=another, epochs=1, seed=0)


def made(*, signal: float, level_signal: float, bundle: Bundle, n: int = 400, seed: int = 0) -> Recordings:
    """Two recordings a group; labels leak into embeddings and levels as strongly as asked."""
    random = np.random.default_rng(seed)
    labels = np.repeat(random.integers(0, 2, n // 2), 2)
    embeddings = random.standard_normal((n, bundle.spec.encoder.embedding_size))
    embeddings[:, :8] += signal * labels[:, None]
    levels = random.standard_normal((n, 6))
    levels[:, 1] += level_signal * labels
    groups = np.repeat([f"person {i}" for i in range(n // 2)], 2)
    folds = np.repeat(random.integers(1, 6, n // 2), 2).astype(str)
    return Recordings(
        ids=np.arange(n).astype(str), embeddings=embeddings, windows=(np.zeros((1, 16), np.float32),) * n,
        levels=levels, background=random.standard_normal((n, 17)), labels=labels, folds=folds,
        groups=groups, bands=np.full(n, "telephone"), fingerprints=np.arange(n).astype(str),
    )  # fmt: skip


CONFIG = ConditionConfig(
    name="made", title="Made", classes=("no", "yes"), column="made", test_set="synthetic",
    voters=("embedding",), bands=("telephone",),
)  # fmt: skip


@pytest.mark.parametrize(
    ("signal", "level_signal", "answers"), [(1.0, 0.0, True), (0.0, 0.0, False), (0.25, 1.8, False)]
)
def test_only_what_beats_levels_may_answer(
    bundle: Bundle, signal: float, level_signal: float, answers: bool
) -> None:
    trained = train_condition(CONFIG, made(signal=signal, level_signal=level_signal, bundle=bundle), bundle)
    assert trained.spec.answers is answers
    assert ("always abstains" in trained.spec.policy) is not answers
    if answers:
        assert trained.spec.evidence.auroc > 0.9 > 0.65 > trained.spec.evidence.level_only_auroc


def test_people_in_two_folds_are_refused(bundle: Bundle) -> None:
    """Who is heard would pass for what they have: such takes gave 0.70 without any signal."""
    data = made(signal=0.0, level_signal=0.0, bundle=bundle)
    torn = data.folds.copy()
    torn[1] = str(int(torn[0]) % 5 + 1)
    with pytest.raises(errors.ManifestInvalid, match=r"1 groups .* in two folds, person 0"):
        train_condition(CONFIG, dataclasses.replace(data, folds=torn), bundle)
    same = data.fingerprints.copy()
    other = int(np.flatnonzero(data.folds != data.folds[0])[0])
    same[other] = same[0]
    with pytest.raises(errors.ManifestInvalid, match=rf"1 sounds .* 0 and {other}"):
        train_condition(CONFIG, dataclasses.replace(data, fingerprints=same), bundle)


def test_a_band_that_nobody_judged_is_not_answered(bundle: Bundle) -> None:
    both = CONFIG.model_copy(update={"bands": ("telephone", "wide")})
    data = made(signal=1.0, level_signal=0.0, bundle=bundle)
    trained = train_condition(both, data, bundle)
    assert trained.spec.bands == ("telephone",)
    assert "Of the wide band the test fold has too little" in trained.spec.policy
    nowhere = dataclasses.replace(data, bands=np.full(len(data), "unknown"))
    abstains = train_condition(both, nowhere, bundle)
    assert (abstains.spec.bands, abstains.spec.answers) == ((), False)


def test_the_place_for_a_bundle_is_looked_at_before_anything_is_trained(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.txt").write_text("years of work")
    config = config_of(tmp_path, "embedding")
    for out, path, why in (
        (precious, config, "no bundle"),
        (precious / "thesis.txt" / "below", config, "cannot be written"),
        (tmp_path / "new", tmp_path / "nope.toml", "cannot be read"),
    ):
        command = ["condition", "--config", str(path), "--manifest", str(corpus), "--out", str(out)]
        monkeypatch.setattr(sys, "argv", command)
        with pytest.raises(SystemExit) as ended:
            condition.main()
        assert ended.value.code == 1
        assert why in capsys.readouterr().err
    assert (precious / "thesis.txt").read_text() == "years of work"
    with pytest.raises(ValueError, match="cannot be called gate"):
        ConditionConfig.model_validate(CONFIG.model_dump() | {"name": "gate"})


def test_what_ships_learnt_no_class_of_the_fold_that_gives_the_quantiles(bundle: Bundle) -> None:
    """Else the sets would be promised a coverage that they do not have."""
    data = made(signal=0.5, level_signal=0.0, bundle=bundle)
    trained = train_condition(CONFIG, data, bundle)
    assert trained.kept_fold == "4"
    kept = data.folds == trained.kept_fold
    turned = dataclasses.replace(data, labels=np.where(kept, 1 - data.labels, data.labels))
    again = train_condition(CONFIG, turned, bundle)
    assert again.contents == trained.contents
    mediators = [c.spec.mediator for c in (again, trained)]
    assert len({(m.slope, m.shifts) for m in mediators}) == 1
    assert mediators[0].conformal_quantiles != mediators[1].conformal_quantiles


@pytest.mark.parametrize("signal", [0.5, 2.0, 12.0])
def test_the_graphs_that_ship_cover_what_gave_the_quantiles(bundle: Bundle, signal: float) -> None:
    """A floor of 1e-6 under every cough, and float32, put recordings outside their own quantile."""
    data = made(signal=signal, level_signal=0.0, bundle=bundle)
    trained = train_condition(CONFIG, data, bundle)
    shipped = with_condition(bundle, trained)
    voter = Voter(shipped, trained.spec.voters[0], n_classes=2)
    kept = data.pick(data.folds == trained.kept_fold)
    inside = np.array(
        [
            kept.labels[i]
            in prediction_set(
                pool(
                    trained.spec.mediator,
                    [voter.vote(np.zeros(0, np.float32), [], kept.embeddings[i : i + 1])],
                ).tolist(),
                trained.spec.mediator.conformal_quantiles,
            )
            for i in range(len(kept))
        ]
    )
    for label in (0, 1):
        n = int((kept.labels == label).sum())
        assert inside[kept.labels == label].sum() >= min(n, np.ceil((n + 1) * 0.9))


def test_sure_coughs_are_averaged_as_in_calibration() -> None:
    logits = np.array([[30.0, 0.0], [2.0, 0.0], [2.0, 0.0]])
    shipped = geometric_mean(np.exp(log_softmax(logits)).astype(np.float32))
    np.testing.assert_allclose(shipped, np.exp(log_softmax(logits.mean(axis=0))), rtol=1e-5)


def test_words_are_classes_however_they_are_written(corpus: Path, tmp_path: Path, bundle: Bundle) -> None:
    """Three quarters of a table were left out in silence."""
    lines = (corpus / "recordings.csv").read_text().splitlines()
    odd = [line.replace(",asthma", ", Asthma ") if i % 2 else line for i, line in enumerate(lines)]
    odd[3] = ",".join([*odd[3].split(",")[:5], "flu", ""])
    (corpus / "odd.csv").write_text("\n".join(odd) + "\n")
    config = read_condition(config_of(tmp_path, "embedding"))
    plain = collect(Manifest.open(corpus / "recordings.csv"), config, bundle)
    data = collect(Manifest.open(corpus / "odd.csv"), config, bundle)
    assert len(data) == len(plain) - 1
    assert (plain.left_out["no_word"], data.left_out["another_word"]) == (1, 1)


def test_fold_10_comes_after_fold_9(bundle: Bundle) -> None:
    """Names were compared letter by letter, so that of folds 2 to 10 the ninth was kept."""
    data = made(signal=0.5, level_signal=0.0, bundle=bundle)
    names = dict(zip("12345", ("2", "10", "9", "3", "5"), strict=True))
    renamed = dataclasses.replace(data, folds=np.array([names[fold] for fold in data.folds]))
    assert train_condition(CONFIG, renamed, bundle).kept_fold == "10"


def test_conformal_sets_cover_on_average() -> None:
    """Over many calibrations the coverage of each class is at least what was asked."""
    random = np.random.default_rng(0)
    covered: dict[int, list[float]] = {0: [], 1: []}
    for _ in range(300):
        labels = random.integers(0, 2, 400)
        positive = 1 / (1 + np.exp(-random.standard_normal(400) - 1.2 * (2 * labels - 1)))
        p = np.stack([1 - positive, positive], axis=1)
        q = conformal_quantiles(p[:200], labels[:200], np.arange(200), coverage=0.9)
        for label in (0, 1):
            of = p[200:][labels[200:] == label, label]
            covered[label].append(float((1 - of <= q[label]).mean()))
    for label in (0, 1):
        assert np.mean(covered[label]) == pytest.approx(0.905, abs=0.012)


@settings(max_examples=50)
@given(st.integers(0, 40), st.floats(0.5, 0.99))
def test_too_few_to_exclude_anything(n: int, coverage: float) -> None:
    """With n calibration scores, no class may be excluded if ceil((n + 1) coverage) > n."""
    random = np.random.default_rng(n)
    positive, labels = random.random(2 * n), np.repeat([0, 1], n)
    everybody = np.arange(len(labels))
    quantiles = conformal_quantiles(
        np.stack([1 - positive, positive], axis=1), labels, everybody, coverage=coverage
    )
    if np.ceil((n + 1) * coverage) > n:
        assert quantiles == (1.0, 1.0)
    assert all(0 <= q <= 1 for q in quantiles)


def test_calibration_recovers_what_was_done_to_the_scores() -> None:
    random = np.random.default_rng(0)
    z = random.standard_normal((20_000, 3)) * 2
    p = np.exp(log_softmax(0.7 * z + np.array([0.0, -0.4, 0.3])))
    labels = (random.random((20_000, 1)) > p.cumsum(axis=1)).sum(axis=1)
    slope, shifts = calibrate(z, labels)
    assert slope == pytest.approx(0.7, abs=0.05)
    assert shifts == pytest.approx([0.0, -0.4, 0.3], abs=0.08)


def test_scores_that_point_the_wrong_way_know_nothing() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 500)
    z = np.stack([np.zeros(500), random.standard_normal(500) - 2.0 * labels], axis=1)
    slope, shifts = calibrate(z, labels)
    assert slope == 0
    assert shifts[1] - shifts[0] == pytest.approx(np.log(labels.mean() / (1 - labels.mean())))
    assert macro_auroc(labels, z) < 0.5
