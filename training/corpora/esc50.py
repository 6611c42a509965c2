"""ESC-50 (Piczak 2015): 50 classes of 40 Freesound clips; see ``data_manifests/esc50/dataset.yaml``.

https://github.com/karolpiczak/ESC-50: ``meta/esc50.csv`` (filename, fold, target, category, esc10,
src_file, take) and ``audio/``; in copies of another layout, the files anywhere below, by name. The
publisher's five folds are kept. Classes are called as in the corpus that the shipped models were trained on,
the fine class in ``sublabel``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from training.corpora.form import Item
from training.corpora.tables import audio_by_name, need, number, read_csv
from training.groups import FREESOUND

SOURCE = "esc50"
EVENTS = {
    "airplane": "traffic_vehicle", "breathing": "breathing", "brushing_teeth": "brushing_teeth",
    "can_opening": "can_opening", "car_horn": "car_horn", "cat": "animal", "chainsaw": "power_tool",
    "chirping_birds": "bird", "church_bells": "bell", "clapping": "clap", "clock_alarm": "alarm",
    "clock_tick": "clock_tick", "coughing": "cough", "cow": "animal", "crackling_fire": "nature",
    "crickets": "animal", "crow": "bird", "crying_baby": "baby_cry", "dog": "dog_bark",
    "door_wood_creaks": "door_creak", "door_wood_knock": "door", "drinking_sipping": "drinking_sipping",
    "engine": "traffic_vehicle", "fireworks": "impulse_fireworks", "footsteps": "footsteps", "frog": "animal",
    "glass_breaking": "glass_break", "hand_saw": "hand_tool", "helicopter": "traffic_vehicle", "hen": "bird",
    "insects": "animal", "keyboard_typing": "keyboard", "laughing": "laughter", "mouse_click": "mouse_click",
    "pig": "animal", "pouring_water": "water", "rain": "nature", "rooster": "bird", "sea_waves": "nature",
    "sheep": "animal", "siren": "siren", "sneezing": "sneeze", "snoring": "snore", "thunderstorm": "nature",
    "toilet_flush": "water", "train": "traffic_vehicle", "vacuum_cleaner": "household_appliance",
    "washing_machine": "household_appliance", "water_drops": "nature", "wind": "nature",
}  # fmt: skip
"""The publisher's category -> event."""
OPEN, CLOSED = ("CC BY 3.0 (ESC-10 subset)", "open"), ("CC BY-NC 3.0", "non_commercial")


def rows(root: Path) -> Iterator[Item]:
    """Every clip of the table."""
    table = need(root, "esc50.csv")
    audio = (table.parents[1] if table.parent.name == "meta" else table.parent) / "audio"
    files = audio_by_name(root)
    columns = ("filename", "fold", "category", "esc10", "src_file")
    for row in read_csv(table, columns):
        licence, licence_class = OPEN if row["esc10"] == "True" else CLOSED
        category = row["category"]
        path = audio / row["filename"]
        yield Item(
            key=Path(row["filename"]).stem,
            path=path if path.exists() else files.get(path.name, path),
            event=EVENTS.get(category, category),
            sublabel=category,
            source=SOURCE,
            group=f"{FREESOUND}{row['src_file']}",
            folds=(int(number(row, "fold")),),
            licence=licence,
            licence_class=licence_class,
            extra={"original": f"{FREESOUND}{row['src_file']}"},
        )
