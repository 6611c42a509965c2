"""Archives that nobody should trust."""

from __future__ import annotations

import io
import shutil
import struct
import subprocess
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cough import errors
from training.corpora.unpack import Joined, Limits, safe_path, unpack

NOISE = np.random.default_rng(0).bytes(200_000)
OUTSIDE = (
    "../evil",
    "/evil",
    "a/../../evil",
    "C:/evil",
    "..\\evil",
    "\\\\server\\evil",
    "a\x00b",
    "a/" + "x" * 300,
)


def a_zip(path: Path, **entries: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


def a_tar(path: Path, *entries: tarfile.TarInfo, content: bytes = b"x") -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for entry in entries:
            entry.size = len(content) if entry.isreg() else 0
            archive.addfile(entry, io.BytesIO(content))
    return path


def nothing_but(folder: Path, *names: str) -> bool:
    return sorted(path.name for path in folder.iterdir()) == sorted(names)


def test_zip_and_tar(tmp_path: Path) -> None:
    entries = {"c/a.bin": NOISE, "c/d/b.txt": b"b", "__MACOSX/c/a.bin": b"mac", "c/.DS_Store": b"mac"}
    out = unpack(a_zip(tmp_path / "a.zip", **entries), tmp_path / "out")
    assert (out / "c" / "a.bin").read_bytes() == NOISE
    assert sorted(p.name for p in out.rglob("*") if p.is_file()) == ["a.bin", "b.txt"]
    tar = a_tar(tmp_path / "b.tar.gz", tarfile.TarInfo("./c/a.txt"))
    assert (unpack(tar, tmp_path / "tarred") / "c" / "a.txt").read_bytes() == b"x"
    (out / "mine").write_text("kept")
    unpack(tmp_path / "a.zip", out)
    assert (out / "mine").exists()


@pytest.mark.parametrize("name", OUTSIDE)
def test_no_path_leads_out(tmp_path: Path, name: str) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    if "\0" not in name:
        with pytest.raises(errors.ArchiveUnsafe):
            unpack(a_tar(inside / "a.tar.gz", tarfile.TarInfo(name)), inside / "out")
        with pytest.raises(errors.ArchiveUnsafe):
            unpack(a_zip(inside / "a.zip", **{"fine": b"", name: b"evil"}), inside / "out")
        assert nothing_but(inside, "a.zip", "a.tar.gz")
    assert nothing_but(tmp_path, "inside")
    with pytest.raises(errors.ArchiveUnsafe):
        safe_path(name)


@given(st.text(max_size=30))
def test_a_safe_path_stays_below(name: str) -> None:
    try:
        path = safe_path(name)
    except errors.ArchiveUnsafe:
        return
    root = Path("/some/where")
    assert (root / (path or "")).resolve().is_relative_to(root)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_no_links_or_devices_in_tar(tmp_path: Path, kind: bytes) -> None:
    entry = tarfile.TarInfo("link")
    entry.type, entry.linkname = kind, "/etc/passwd"
    with pytest.raises(errors.ArchiveUnsafe, match="link"):
        unpack(a_tar(tmp_path / "a.tar.gz", entry), tmp_path / "out")
    assert nothing_but(tmp_path, "a.tar.gz")


def test_no_links_in_zip(tmp_path: Path) -> None:
    entry = zipfile.ZipInfo("link")
    entry.create_system, entry.external_attr = 3, 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(entry, "/etc/passwd")
    with pytest.raises(errors.ArchiveUnsafe, match="link"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


def test_bombs(tmp_path: Path) -> None:
    small = Limits(bytes_at_least=1_000_000, ratio=10, entries=5)
    zeros = a_zip(tmp_path / "zeros.zip", zeros=bytes(50_000_000))
    with pytest.raises(errors.ArchiveUnsafe, match="1000000 bytes"):
        unpack(zeros, tmp_path / "out", limits=small)
    tar = a_tar(tmp_path / "zeros.tar.gz", tarfile.TarInfo("zeros"), content=bytes(50_000_000))
    with pytest.raises(errors.ArchiveUnsafe, match="1000000 bytes"):
        unpack(tar, tmp_path / "out", limits=small)
    many = a_zip(tmp_path / "many.zip", **{str(i): b"" for i in range(6)})
    with pytest.raises(errors.ArchiveUnsafe, match="5 entries"):
        unpack(many, tmp_path / "out", limits=small)
    # What the header says of its size does not count.
    data = bytearray(zeros.read_bytes())
    at = data.rindex(b"PK\x01\x02") + 24
    data[at : at + 4] = struct.pack("<I", 10)
    zeros.write_bytes(data)
    with pytest.raises((errors.ArchiveUnsafe, errors.DownloadFailed)):
        unpack(zeros, tmp_path / "out", limits=small)
    assert nothing_but(tmp_path, "zeros.zip", "zeros.tar.gz", "many.zip")


def test_one_path_twice_or_file_and_folder(tmp_path: Path) -> None:
    for second in ("a/B.txt", "a/b.txt/c"):
        with pytest.raises(errors.ArchiveUnsafe):
            unpack(a_zip(tmp_path / "a.zip", **{"a/b.txt": b"1", second: b"2"}), tmp_path / "out")


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.tar"])
def test_damage_is_said(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"this is no archive" * 100)
    with pytest.raises(errors.DownloadFailed, match="damaged"):
        unpack(path, tmp_path / "out")
    if name == "a.tar.gz":
        a_tar(path, tarfile.TarInfo("a"), content=NOISE)
        path.write_bytes(path.read_bytes()[:50_000])
        with pytest.raises(errors.DownloadFailed, match="damaged"):
            unpack(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_changed_byte_is_found(tmp_path: Path) -> None:
    path = a_zip(tmp_path / "a.zip", noise=NOISE)
    data = bytearray(path.read_bytes())
    data[1_000] ^= 1
    path.write_bytes(data)
    with pytest.raises(errors.DownloadFailed, match="damaged"):
        unpack(path, tmp_path / "out")


def test_split_tar_inside_as_coswara_has_it(tmp_path: Path) -> None:
    tar = a_tar(tmp_path / "t.tar.gz", tarfile.TarInfo("20200413/ID/cough-heavy.wav"), content=NOISE)
    data = tar.read_bytes()
    pieces = {
        f"Coswara/20200413/20200413.tar.gz.a{c}": data[i * 90_000 : (i + 1) * 90_000]
        for i, c in enumerate("abc")
    }
    out = unpack(
        a_zip(tmp_path / "a.zip", **pieces, **{"Coswara/combined_data.csv": b"id"}), tmp_path / "out"
    )
    assert (out / "Extracted_data" / "20200413" / "ID" / "cough-heavy.wav").read_bytes() == NOISE
    assert not list(out.rglob("*.tar.gz.*"))
    lacking = a_zip(tmp_path / "b.zip", **dict(list(pieces.items())[:2]))
    with pytest.raises(errors.DownloadFailed, match="damaged"):
        unpack(lacking, tmp_path / "other")


def split_zip(whole: Path, *, size: int) -> list[Path]:
    """Cut a zip into parts as Info-ZIP does: offsets count from each part's beginning."""
    data = bytearray(b"PK\x07\x08" + whole.read_bytes())
    end = data.rindex(b"PK\x05\x06")
    directory = struct.unpack("<I", data[end + 16 : end + 20])[0] + 4
    last = directory // size
    at = directory
    while data[at : at + 4] == b"PK\x01\x02":
        name, extra, comment = struct.unpack("<3H", data[at + 28 : at + 34])
        offset = struct.unpack("<I", data[at + 42 : at + 46])[0] + 4
        data[at + 34 : at + 36] = struct.pack("<H", offset // size)
        data[at + 42 : at + 46] = struct.pack("<I", offset % size)
        at += 46 + name + extra + comment
    data[end + 4 : end + 8] = struct.pack("<2H", last, last)
    data[end + 16 : end + 20] = struct.pack("<I", directory % size)
    parts = []
    for i in range(last + 1):
        final = i == last
        path = whole.with_suffix(".zip" if final else f".z{i + 1:02d}")
        path.write_bytes(data[i * size :] if final else data[i * size : (i + 1) * size])
        parts.append(path)
    return parts


def test_split_zip(tmp_path: Path) -> None:
    entries = {f"FSD50K.dev_audio/{i}.wav": NOISE[i * 1_000 : i * 1_000 + 40_000] for i in range(20)}
    whole = a_zip(tmp_path / "a.zip", **entries)
    parts = split_zip(whole, size=100_000)
    assert len(parts) > 3
    out = unpack(tmp_path / "a.zip", tmp_path / "out")
    for name, content in entries.items():
        assert (out / name).read_bytes() == content
    parts[1].unlink()
    with pytest.raises(errors.DownloadFailed, match="z02 is missing"):
        unpack(tmp_path / "a.zip", tmp_path / "other")


@pytest.mark.skipif(shutil.which("zip") is None, reason="no zip command")
def test_split_zip_of_the_zip_command(tmp_path: Path) -> None:
    source = tmp_path / "FSD50K.eval_audio"
    source.mkdir()
    for i in range(10):
        (source / f"{i}.wav").write_bytes(NOISE[i:])
    subprocess.run(["zip", "-q", "-r", "-s", "300k", "a.zip", source.name], cwd=tmp_path, check=True)
    assert (tmp_path / "a.z03").exists()
    out = unpack(tmp_path / "a.zip", tmp_path / "out")
    for i in range(10):
        assert (out / source.name / f"{i}.wav").read_bytes() == NOISE[i:]


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=5), st.integers(0, 60), st.integers(0, 60))
def test_joined_files_read_as_one(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes], begin: int, n: int
) -> None:
    folder = tmp_path_factory.mktemp("joined")
    paths = [folder / str(i) for i in range(len(pieces))]
    for path, piece in zip(paths, pieces, strict=True):
        path.write_bytes(piece)
    with io.BufferedReader(Joined(paths)) as stream:
        stream.seek(begin)
        assert stream.read(n) == b"".join(pieces)[begin : begin + n]
        assert stream.seek(0, io.SEEK_END) == sum(map(len, pieces))
