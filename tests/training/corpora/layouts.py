"""Miniature copies of the corpora: real folders, file names, columns and containers, synthetic sound."""

from __future__ import annotations

import json
from pathlib import Path

from tests.training.corpora.agreed_layouts import coda_tb, covid19_sounds, dicova1, dicova2, uk_covid19
from tests.training.corpora.miniature import Maker, sound, table


def esc50(root: Path) -> Path:
    """The repository's archive, unpacked; two pieces of one Freesound clip."""
    root = root / "ESC-50" / "ESC-50-33c8ce9eb2cf0b1c2f8bcf322eb349b6be34dbb6"
    rows = [
        ("1-100032-A-0.wav", 1, 0, "dog", True, 100032, "A"),
        ("1-19111-A-24.wav", 1, 24, "coughing", False, 19111, "A"),
        ("2-108017-A-24.wav", 2, 24, "coughing", False, 108017, "A"),
        ("5-250629-A-24.wav", 5, 24, "coughing", False, 250629, "A"),
        ("3-127890-A-23.wav", 3, 23, "breathing", False, 127890, "A"),
        ("3-127890-B-23.wav", 3, 23, "breathing", False, 127890, "B"),
        ("4-167642-A-21.wav", 4, 21, "sneezing", True, 167642, "A"),
    ]
    header = ("filename", "fold", "target", "category", "esc10", "src_file", "take")
    table(root / "meta" / "esc50.csv", header, rows)
    for i, row in enumerate(rows):
        sound(root / "audio" / str(row[0]), seed=i, cough=row[3] == "coughing", rate_hz=44_100)
    return root.parents[1]


EXPERT = (
    "quality",
    "cough_type",
    "dyspnea",
    "wheezing",
    "stridor",
    "choking",
    "congestion",
    "nothing",
    "diagnosis",
    "severity",
)


def coughvid(version: int) -> Maker:
    """v1 without SNR and with three physicians, the third's columns in another order; v3 with status_SSL."""

    def make(root: Path) -> Path:
        folder = root / {1: "public_dataset", 2: "public_dataset", 3: "coughvid_20211012"}[version]
        header = [
            "uuid",
            "datetime",
            "cough_detected",
            "latitude",
            "longitude",
            "age",
            "gender",
            "respiratory_condition",
            "fever_muscle_pain",
            "status",
        ]
        if version > 1:
            header.insert(3, "SNR")
        if version == 3:
            header.append("status_SSL")
        physicians = range(1, 4 if version == 1 else 5)
        header += [f"{name}_{k}" for k in physicians for name in (EXPERT if k < 3 else sorted(EXPERT))]
        people = [
            (
                "00014dcc-f06d-4c27-8c7b-737b18a2cf4c",
                "0.9754",
                "48.9",
                "2.4",
                "43.0",
                "female",
                "True",
                "False",
                "COVID-19",
                ".webm",
            ),
            (
                "00039425-7f3a-42aa-ac13-834aaa2b6b92",
                "0.9609",
                "31.3",
                "34.8",
                "15.0",
                "male",
                "False",
                "False",
                "healthy",
                ".webm",
            ),
            ("0007c6f1-5441-40e6-9aaf-a761d8f2da3b", "0.1643", "", "", "", "", "", "", "", ".ogg"),
            (
                "001328dc-ea5d-4847-9ccf-c5aa2a3f2d0f",
                "0.9968",
                "",
                "",
                "21.0",
                "other",
                "False",
                "False",
                "symptomatic",
                ".wav" if version == 3 else ".ogg",
            ),
        ]
        rows = []
        for i, (uuid, detected, north, east, years, gender, ill, fever, status, suffix) in enumerate(people):
            cells = dict.fromkeys(header, "")
            cells |= {
                "uuid": uuid,
                "datetime": f"2020-04-1{i}T21:30:59.801831+00:00",
                "cough_detected": detected,
                "SNR": "12.5",
                "latitude": north,
                "longitude": east,
                "age": years,
                "gender": gender,
                "respiratory_condition": ill,
                "fever_muscle_pain": fever,
                "status": status,
                "status_SSL": "COVID-19",
                "quality_1": "no_cough" if i == 3 else "ok",
            }
            rows.append([cells[name] for name in header])
            sound(folder / f"{uuid}{suffix}", seed=i)
            (folder / f"{uuid}.json").write_text(json.dumps({"datetime": cells["datetime"]}))
        table(folder / "metadata_compiled.csv", header, rows)
        return root

    return make


COSWARA_COLUMNS = (
    "id", "a", "covid_status", "record_date", "ep", "g", "l_c", "l_l", "l_s", "rU", "smoker",
    "cold", "ht", "diabetes", "cough", "ctDate", "ctScan", "ctScore", "diarrhoea", "fever",
    "loss_of_smell", "mp", "testType", "test_date", "test_status", "um", "vacc", "bd",
    "others_resp", "ftg", "st", "ihd", "asthma", "others_preexist", "cld", "pneumonia",
)  # fmt: skip
SOUNDS = (
    "breathing-deep",
    "breathing-shallow",
    "cough-heavy",
    "cough-shallow",
    "counting-fast",
    "counting-normal",
    "vowel-a",
    "vowel-e",
    "vowel-o",
)


def coswara(root: Path) -> Path:
    """As extract_data.py leaves it; the second person's heavy cough is graded bad, one sound is missing."""
    people = [
        ("iV3Db6t1T8b7c5HQY2TwxIhjbzD3", "28", "healthy", "2020-04-23", "male"),
        ("AxuYWBN0jFVLINCBqIW5aZmGCdu1", "25", "positive_mild", "2021-05-20", "female"),
        ("C5eIsssb9GSkaAgIfsHMHeR6fSh1", "31", "positive_asymp", "2021-05-21", "male"),
        ("YjbEAECMBIaZKyfqOvWy5DDImUb2", "40", "recovered_full", "2021-06-01", "female"),
        ("aGOvk4ji0cVqIzCs1jHnzlw2UEy2", "33", "healthy", "2020-04-24", "male"),
    ]
    rows = []
    for n, (person, years, status, date, gender) in enumerate(people):
        cells = dict.fromkeys(COSWARA_COLUMNS, "") | {
            "id": person,
            "a": years,
            "covid_status": status,
            "record_date": date,
            "g": gender,
            "ep": "y",
            "l_c": "India",
            "cough": "True" if n else "",
        }
        rows.append([cells[name] for name in COSWARA_COLUMNS])
        if n == 4:  # in the table, not among the folders
            continue
        folder = root / "Extracted_data" / date.replace("-", "") / person
        for i, name in enumerate(SOUNDS):
            if n != 2 or name != "vowel-o":
                sound(folder / f"{name}.wav", seed=100 * n + i, cough=name.startswith("cough"), seconds=0.6)
        (folder / "metadata.json").write_text(json.dumps({"a": int(years), "covid_status": status}))
    table(root / "combined_data.csv", COSWARA_COLUMNS, rows)
    annotations = root / "annotations" / "cough-heavy_labels.csv"
    annotations.parent.mkdir()
    grades = zip(people, (2, 0, 1), strict=False)
    lines = [f"{person[0]}_cough-heavy,{grade}" for person, grade in grades]
    annotations.write_text("\n".join(["FILENAME, QUALITY", *lines]) + "\n")
    return root


def covid19_cough(root: Path) -> Path:
    """The repository's archive: cut files, times of the calls; one sound under both labels."""
    root = root / "covid19_cough" / "dataset-master"
    common = {"start_at": 54.908, "end_at": 56.875, "comment": None}
    entries = [
        {
            "filename": "60ab9383-73c9-444c-b80f-1e9abeb12449.mp3",
            **common,
            "verified": True,
            "asymptomatic": True,
            "covid19": True,
            "source": "call-center",
        },
        {
            "filename": "214f9bee-4ecc-4b1d-81ac-9715e12c8be7.mp3",
            **common,
            "kind": "исх рандом",
            "covid19": False,
            "source": "call-center",
        },
        {
            "filename": "f0b19825-18e6-4363-9255-98276a8c9a0c.mp3",
            **common,
            "covid19": True,
            "asymptomatic": True,
            "source": "telegram",
        },
        {
            "filename": "097cda17-438b-4363-9255-98276a8c9a0c.mp3",
            **common,
            "covid19": False,
            "source": "telegram",
        },
        {"filename": "not-there.mp3", **common, "covid19": False, "source": "telegram"},
    ]
    for i, entry in enumerate(entries[:4]):
        # The last two are the same recording.
        sound(root / "raw" / str(entry["filename"]), seed=min(i, 2), rate_hz=8_000 if i < 2 else 48_000)
    (root / "metadata.json").write_text(json.dumps(entries, ensure_ascii=False, indent=2))
    (root / "README.md").write_text("# Description\n")
    return root.parents[1]


def virufy(root: Path) -> Path:
    """Two patients; three single coughs and the two recordings they were cut from."""
    folder = root / "virufy-data-main" / "clinical"
    header = (
        "date",
        "corona_test",
        "age",
        "gender",
        "medical_history",
        "smoker",
        "patient_reported_symptoms",
        "cough_filename",
    )
    rows = [
        ("4/5/2020", "negative", 53, "male", "None,", "no", "None,", "neg-0421-083-cough-m-53.mp3"),
        (
            "4/5/2020",
            "positive",
            50,
            "male",
            "Congestive heart failure,",
            "no",
            "Shortness of breath,",
            "pos-0421-084-cough-m-50.mp3",
        ),
    ]
    table(folder / "labels.csv", header, rows)
    for i, (result, name) in enumerate(
        [
            ("neg", "neg-0421-083-cough-m-53-0"),
            ("neg", "neg-0421-083-cough-m-53-1"),
            ("pos", "pos-0421-084-cough-m-50-0"),
        ]
    ):
        sound(folder / "segmented" / result / f"{name}.mp3", seed=i)
    for i, row in enumerate(rows):
        sound(folder / "original" / str(row[-1])[:3] / str(row[-1]), seed=9 + i)
    return root


def fsd50k(root: Path) -> Path:
    """As cough data download unpacks it; two clips of one uploader, one of the evaluation part."""
    clips = {
        "dev": {
            "64760": (
                "Cough,Respiratory_sounds,Human_voice",
                "ann",
                "http://creativecommons.org/licenses/by/3.0/",
            ),
            "16399": ("Laughter,Human_voice", "ann", "http://creativecommons.org/licenses/by-nc/3.0/"),
            "16401": ("Electric_guitar,Guitar,Music", "bob", "http://creativecommons.org/licenses/by/3.0/"),
            "20001": ("Sneeze,Respiratory_sounds", "cy", "http://creativecommons.org/publicdomain/zero/1.0/"),
        },
        "eval": {
            "37199": ("Cough,Speech", "dee", "http://creativecommons.org/licenses/sampling+/1.0/"),
        },
    }
    for part, content in clips.items():
        header = ("fname", "labels", "mids", "split") if part == "dev" else ("fname", "labels", "mids")
        rows = [(name, labels, "/m/01b_21", "train")[: len(header)] for name, (labels, *_) in content.items()]
        table(root / "FSD50K.ground_truth" / "FSD50K.ground_truth" / f"{part}.csv", header, rows)
        about = {
            name: {"title": "x", "description": "", "tags": [], "license": licence, "uploader": who}
            for name, (_, who, licence) in content.items()
        }
        metadata = root / "FSD50K.metadata" / "FSD50K.metadata" / f"{part}_clips_info_FSD50K.json"
        metadata.parent.mkdir(parents=True, exist_ok=True)
        metadata.write_text(json.dumps(about))
        for name in content:
            folder = root / f"FSD50K.{part}_audio" / f"FSD50K.{part}_audio"
            sound(folder / f"{name}.wav", seed=int(name), cough="Cough" in content[name][0], rate_hz=44_100)
    return root


def aicv115m(root: Path) -> Path:
    """The warm-up round with labels, its test set without; 8 kHz."""
    train, test = root / "aicv115m_public_train", root / "aicv115m_public_test"
    uuids = (
        "7f186559-2e13-4d76-bedb-2409363abf1d",
        "81bc3080-b30b-403f-80e2-47396677d9f6",
        "bb7a3b30-88d9-4101-a39d-a4bac9a436b8",
        "2ce77921-b508-43fd-a8ee-c0b09f28901c",
    )
    header = ("uuid", "subject_gender", "subject_age", "assessment_result", "file_path")
    rows = [
        (uuids[0], "male", 33.0, 1, f"train_audio_files_8k/{uuids[0]}.wav"),
        (uuids[1], "female", "", 0, f"train_audio_files_8k/{uuids[1]}.wav"),
        (uuids[2], "", "", "unknown", f"train_audio_files_8k/{uuids[2]}.wav"),
    ]
    table(train / "metadata_train_challenge.csv", header, rows)
    table(
        test / "metadata_public_test.csv",
        ("uuid", "subject_gender", "subject_age", "file_path"),
        [(uuids[3], "male", 20.0, f"public_test_audio_files_8k/{uuids[3]}.wav")],
    )
    for i, uuid in enumerate(uuids[:3]):
        sound(train / "train_audio_files_8k" / f"{uuid}.wav", seed=i, rate_hz=8_000)
    sound(test / "public_test_audio_files_8k" / f"{uuids[3]}.wav", seed=3, rate_hz=8_000)
    return root


TEXTGRID = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = {end}
tiers? <exists>
size = 1
item []:
    item [1]:
        class = "IntervalTier"
        name = "word"
        xmin = 0
        xmax = {end}
        intervals: size = {n}
"""


def flusense(root: Path) -> Path:
    """Two clips of one video, one of them with a cough; a clip whose audio is not there."""
    clips = {
        "-9jpjShrNGs_20_000-30_000": [(0, 0.4, "etc"), (0.4, 0.9, "cough"), (0.9, 1.2, "speech")],
        "-9jpjShrNGs_40_000-50_000": [(0, 0.9, "speech"), (0.9, 1.2, "sneeze")],
        "0AWF9zOT8YY": [(0, 1.2, "throat-clearing")],
        "0Dh4NhF27jc": [(0, 1.2, "etc")],
    }
    folder = root / "flusense_data"
    folder.mkdir(parents=True)
    for i, (name, marks) in enumerate(clips.items()):
        text = TEXTGRID.format(end=1.2, n=len(marks))
        for k, (begin, end, word) in enumerate(marks, start=1):
            text += f"        intervals [{k}]:\n            xmin = {begin} \n            xmax = {end} \n"
            text += f'            text = "{word}" \n'
        (folder / f"{name}.TextGrid").write_text(text)
        if name != "0Dh4NhF27jc":
            sound(folder / f"{name}.wav", seed=i, cough=i == 0, rate_hz=44_100)
    return root


LAYOUTS: dict[str, tuple[str, Maker]] = {
    "aicv115m": ("aicv115m", aicv115m),
    "coda_tb": ("coda_tb", coda_tb),
    "coswara": ("coswara", coswara),
    "coughvid_v1": ("coughvid", coughvid(1)),
    "coughvid_v2": ("coughvid", coughvid(2)),
    "coughvid_v3": ("coughvid", coughvid(3)),
    "covid19_cough": ("covid19_cough", covid19_cough),
    "covid19_sounds": ("covid19_sounds", covid19_sounds),
    "dicova1": ("dicova1", dicova1),
    "dicova2": ("dicova2", dicova2),
    "esc50": ("esc50", esc50),
    "flusense": ("flusense", flusense),
    "fsd50k": ("fsd50k", fsd50k),
    "uk_covid19": ("uk_covid19", uk_covid19),
    "virufy": ("virufy", virufy),
}
"""Layout -> (corpus, how to make it in an empty folder; returns what the user passes on)."""
