"""Miniature copies of the corpora that are given out by agreement; see ``layouts``."""

from __future__ import annotations

from pathlib import Path

from tests.training.corpora.miniature import sound, table


def dicova1(root: Path) -> Path:
    """The organisers' folder."""
    folder = root / "DiCOVA_Train_Val_Data_Release"
    rows = [("AtACyGlV_cough", "n", "m", "Indian"), ("rAKaNjve_cough", "p", "f", "Others")]
    table(folder / "metadata.csv", ("File_name", "Covid_status", "Gender", "Nationality"), rows)
    for i, row in enumerate(rows):
        sound(folder / "AUDIO" / f"{row[0]}.flac", seed=i, rate_hz=44_100)
    (folder / "LISTS").mkdir()
    (folder / "LISTS" / "train_fold_1.txt").write_text("AtACyGlV_cough\n")
    return root


def dicova2(root: Path) -> Path:
    """The organisers' folder; a table separated by spaces."""
    folder = root / "Second_DiCOVA_Challenge_Dev_Data_Release"
    folder.mkdir(parents=True)
    (folder / "metadata.csv").write_text("SUB_ID COVID_STATUS GENDER\nAABBCCDD n m\nEEFFGGHH p f\n")
    for i, person in enumerate(("AABBCCDD", "EEFFGGHH")):
        for k, kind in enumerate(("breathing", "cough", "speech")):
            sound(folder / "AUDIO" / kind / f"{person}.flac", seed=3 * i + k, cough=k == 1, rate_hz=44_100)
    return root


def covid19_sounds(root: Path) -> Path:
    """An app's account with two sessions, an anonymous form twice; an extension that the table has wrong."""
    header = (
        "",
        "Uid",
        "Age",
        "Sex",
        "Medhistory",
        "Smoking",
        "Language",
        "Date",
        "Folder Name",
        "Symptoms",
        "Covid-Tested",
        "Hospitalized",
        "Location",
        "Voice filename",
        "Cough filename",
        "Breath filename",
        "Voice check",
        "Cough check",
        "Breath check",
        "Sampling Rate",
    )

    def row(n: int, uid: str, folder: str, tested: str, check: str = "c") -> tuple[object, ...]:
        return (
            n,
            uid,
            "20-29",
            "Female",
            "asthma",
            "never",
            "en",
            "2020-06-01-10_11_12",
            folder,
            "drycough",
            tested,
            "no",
            "",
            "audio_file_voice.wav",
            "audio_file_cough.wav",
            "audio_file_breathe.wav",
            "v",
            check,
            "b",
            44100,
        )

    app = [
        row(0, "0A0ULgZntg", "2020-06-01-10_11_12", "last14"),
        row(1, "0A0ULgZntg", "2020-07-01-10_11_12", "over14"),
    ]
    web = [
        row(0, "form-app-users", "2020-04-07_10_00_00", "negativeNever"),
        row(1, "form-app-users", "2020-04-08_10_00_00", "never", "n"),
    ]
    for platform, rows in {"android": app, "web": web, "ios": []}.items():
        name = f"results_raw_20210426_lan_yamnet_{platform}_noloc.csv"
        table(root / "all_metadata" / name, header, rows, delimiter=";")
        for i, cells in enumerate(rows):
            folder = root / "covid19_data_0426" / str(cells[1]) / str(cells[8])
            suffix = ".webm" if platform == "web" else ".wav"
            for k, kind in enumerate(("voice", "cough", "breathe")):
                seed = 10 * i + k + (100 if platform == "web" else 0)
                sound(folder / f"audio_file_{kind}{suffix}", seed=seed, cough=k == 1, seconds=0.6)
    return root


def uk_covid19(root: Path) -> Path:
    """Three people; the second is one of the authors' test people."""
    people = [
        ("P0001", 34, "Female", "Positive", "PCR", "Test and Trace", "2021-04-01", 1),
        ("P0002", 51, "Male", "Negative", "PCR", "REACT-1", "2021-05-01", 0),
        ("P0003", 29, "Male", "Unknown/Void", "LAMP", "REACT-1", "2021-05-02", 0),
    ]
    header = (
        "participant_identifier",
        "age",
        "gender",
        "covid_test_result",
        "covid_test_method",
        "recruitment_source",
        "submission_date",
        "symptom_cough_any",
    )
    table(root / "participant_metadata.csv", header, people)
    names = {p[0]: [f"{p[0]}_{kind}.wav" for kind in ("exhalation", "cough", "three_cough")] for p in people}
    columns = ("participant_identifier", "exhalation_file_name", "cough_file_name", "three_cough_file_name")
    table(root / "audio_metadata.csv", columns, [(person, *files) for person, files in names.items()])
    table(
        root / "train_test_splits.csv",
        ("participant_identifier", "splits", "in_matched_rebalanced_test"),
        [("P0001", "train", "False"), ("P0002", "test", "True"), ("P0003", "val", "False")],
    )
    for i, files in enumerate(names.values()):
        for k, name in enumerate(files):
            sound(root / "audio" / name, seed=3 * i + k, cough=k > 0, seconds=0.6)
    return root


def coda_tb(root: Path) -> Path:
    """Two participants; half-second coughs, one in both tables under another name."""
    clinical = (
        "participant",
        "sex",
        "age",
        "height",
        "weight",
        "reported_cough_dur",
        "tb_prior",
        "tb_prior_Pul",
        "tb_prior_Extrapul",
        "tb_prior_Unknown",
        "hemoptysis",
        "heart_rate",
        "temperature",
        "weight_loss",
        "smoke_lweek",
        "fever",
        "night_sweats",
        "tb_status",
    )
    yes = ("No",) * 5
    rows = [
        ("CODA_TB_0001", "Female", 34, 160, 55, 21, *yes, 80, 36.6, "Yes", "No", "Yes", "No", 1),
        ("CODA_TB_0002", "Male", 51, "NA", 70, 30, *yes, 75, 36.5, "No", "Yes", "No", "No", 0),
    ]
    table(root / "meta_data" / "Clinical" / "CODA_TB_Clinical_Meta_Info.csv", clinical, rows)
    table(
        root / "meta_data" / "Clinical" / "CODA_TB_additional_variables_train.csv",
        ("participant", "Country", "HIVstatus", "Microbiologicreferencestandard"),
        [
            ("CODA_TB_0001", "Uganda", "Negative", "TB Positive"),
            ("CODA_TB_0002", "Vietnam", "", "TB Negative"),
        ],
    )
    clips = [
        ("CODA_TB_0001", "1636453126000-recording-1.wav"),
        ("CODA_TB_0001", "1636453126001-recording-2.wav"),
        ("CODA_TB_0002", "1636453126002-recording-1.wav"),
    ]
    table(
        root / "meta_data" / "Cough Metadata" / "CODA_TB_Solicited_Meta_Info.csv",
        ("participant", "filename", "sound_prediction_score"),
        [(*clip, 0.98) for clip in clips],
    )
    for i, (_, name) in enumerate(clips):
        sound(root / "raw_data" / "solicited_data" / name, seed=i, rate_hz=44_100, seconds=0.5)
    table(
        root / "meta_data" / "Cough Metadata" / "CODA_TB_Longitudnal_Meta_Info.csv",
        ("participant", "filename", "sound_prediction_score"),
        [("CODA_TB_0002", "1636453200000-recording-1.wav", 0.91), ("CODA_TB_0002", "gone.wav", 0.9)],
    )
    sound(root / "raw_data" / "longitudinal_data" / "1636453200000-recording-1.wav", seed=7, seconds=0.5)
    return root
