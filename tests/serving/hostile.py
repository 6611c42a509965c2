"""Files that were made to break a decoder, sent to a live service.

::

    python -m tests.serving.hostile --n 10000 --workers 2 --seed 1     # prints a table; exit 1 on any fault

Every file is a real recording in some container, bent: bytes flipped, cut, spliced with another
container, sizes replaced by extremes, other formats' beginnings put before it; or it is a bomb, a
playlist, or noise behind a magic number. The same functions draw the files of the test suite.

A fault is: a status of 500 or more, a code that is not documented, an answer that is not valid, an
answer later than the worker's deadline, or memory that grew.
"""

from __future__ import annotations

import argparse
import random
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import httpx
import numpy as np

from cough.screener import ScreeningResult
from cough.wire import Problem
from serving.routes.screenings import MEASURING_PROBLEMS
from tests.conftest import EXAMPLES
from tests.cough.test_audio import ENCODED, wav
from tests.serving.process import live_service
from training import synth
from training.codecs import encode

EXTREMES = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
MAGICS = (
    *(
        b"RIFF\xff\xff\xff\xffWAVEfmt ",
        b"\x1aE\xdf\xa3",
        b"OggS\0\x02",
        b"fLaC\0\0\0\x22",
        b"#!AMR\n",
        b"caff\0\x01",
    ),
    *(
        b"\0\0\0\x20ftypM4A ",
        b"\0\0\0\x01ftyp3gp4",
        b"ID3\x04\0\0\x7f\x7f\x7f\x7f",
        b"\xff\xfb\x90\0",
        b"FORM\0\0\0\0AIFF",
    ),
    *(b"FLV\x01", b"0&\xb2u\x8ef\xcf\x11", b".snd\0\0\0\x18", b"riff.\x91\xcf\x11"),
)
FOREIGN = (
    *(
        b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"%PDF-1.7\n",
    ),
    *(
        b"PK\x03\x04",
        b"<?xml version='1.0'?><MPD/>",
        b"GIF89a",
        b"\x89PNG\r\n\x1a\n",
        b"#!/bin/sh\n",
        b"\x1f\x8b\x08",
    ),
    *(b"<!doctype html>", b"\x7fELF", b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\n"),
)


@lru_cache(maxsize=1)
def recordings() -> tuple[bytes, ...]:
    """Real recordings in every container that is understood."""
    sound = synth.cough_bout(np.random.default_rng(7)).astype(np.float32)[: 16_000 * 3]
    made = [encode(sound, codec) for codec in ENCODED.values()]
    lossless = [wav(sound, container=kind) for kind in ("WAV", "FLAC", "RF64", "W64", "AU")]
    vorbis = wav(sound, subtype="VORBIS", container="OGG")
    examples = [file.read_bytes() for file in sorted(EXAMPLES.iterdir()) if file.suffix != ".md"]
    return (*made, *lossless, vorbis, *examples)


def _flip(data: bytes, rng: random.Random) -> bytes:
    bent = bytearray(data)
    for _ in range(rng.choice((1, 2, 8, 64))):
        bent[_place(bent, rng)] ^= 1 << rng.randrange(8)
    return bytes(bent)


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: _place(data, rng)]


def _behead(data: bytes, rng: random.Random) -> bytes:
    return data[_place(data, rng) :]


def _stretch(data: bytes, rng: random.Random) -> bytes:
    """A size, count or rate becomes an extreme."""
    bent = bytearray(data)
    form = rng.choice((">I", "<I", ">H", "<H", "B"))
    value = rng.choice(EXTREMES) & (2 ** (8 * struct.calcsize(form)) - 1)
    at = min(_place(bent, rng), max(0, len(bent) - 4))
    bent[at : at + struct.calcsize(form)] = struct.pack(form, value)
    return bytes(bent)


def _splice(data: bytes, rng: random.Random) -> bytes:
    other = rng.choice(recordings())
    return data[: _place(data, rng)] + other[_place(other, rng) :]


def _repeat(data: bytes, rng: random.Random) -> bytes:
    at = _place(data, rng)
    return data[:at] + data[at : at + rng.choice((1, 16, 4_096))] * rng.choice((2, 50)) + data[at:]


def _blank(data: bytes, rng: random.Random) -> bytes:
    at, n = _place(data, rng), rng.choice((4, 64, 4_096))
    return data[:at] + rng.choice((b"\0", b"\xff")) * n + data[at + n :]


def _prefix(data: bytes, rng: random.Random) -> bytes:
    return rng.choice((*MAGICS, *FOREIGN)) + data


def _replace(data: bytes, rng: random.Random) -> bytes:
    """Noise behind a magic number."""
    noise = np.random.default_rng(rng.randrange(1 << 30)).bytes(rng.choice((0, 3, 40, 3_000)))
    return rng.choice((*MAGICS, *FOREIGN)) + noise


def _bomb(data: bytes, rng: random.Random) -> bytes:
    """Few bytes, many seconds."""
    silence = np.zeros(8_000 * rng.choice((19, 3_600)), np.int16)
    return wav(silence, rate_hz=8_000, container="FLAC")


MUTATIONS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    *(_flip, _flip, _cut, _behead, _stretch, _stretch, _splice, _repeat, _blank, _prefix, _replace),
)


def hostile_file(rng: random.Random) -> bytes:
    """One file; all of its randomness comes from ``rng``."""
    if rng.randrange(200) == 0:
        return _bomb(b"", rng)
    data = rng.choice(recordings())
    for _ in range(rng.choice((1, 1, 2, 4))):
        data = rng.choice(MUTATIONS)(data, rng) or b"\0"
    return data


def fault(response: httpx.Response) -> str | None:
    """What is wrong with an answer, if anything."""
    if response.status_code == 200:
        ScreeningResult.model_validate_json(response.content)
        return None
    problem = Problem.model_validate_json(response.content)
    if problem.status != response.status_code or problem.code not in MEASURING_PROBLEMS:
        return f"{response.status_code} {problem.code}"
    return f"{response.status_code} {problem.code}" if response.status_code >= 500 else None


def _place(data: bytes | bytearray, rng: random.Random) -> int:
    """Half of the time among the headers."""
    return rng.randrange(min(len(data), rng.choice((512, len(data)))) or 1) if data else 0


def main() -> int:
    """Send ``--n`` files; 0 when there was no fault."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    codes: Counter[str] = Counter()
    faults: list[str] = []
    slowest_s = 0.0
    job_s = 10.0
    with (
        live_service(
            workers=options.workers, job_s=str(job_s), max_wait_s="60", max_wait_jobs="1000"
        ) as live,
        httpx.Client(base_url=live.url, timeout=60) as client,
        ThreadPoolExecutor(options.workers) as threads,
    ):

        def send(seed: int) -> None:
            nonlocal slowest_s
            data = hostile_file(random.Random(seed))
            began = time.monotonic()
            response = client.post("/v1/screenings", content=data, headers={"content-type": "audio/mp4"})
            seconds = time.monotonic() - began
            slowest_s = max(slowest_s, seconds)
            codes[response.json().get("code") or response.json()["outcome"]] += 1
            found = fault(response) or (f"{seconds:.1f} s" if seconds > 3 * job_s else None)
            if found:
                faults.append(f"seed {seed}: {found}")

        first = options.seed * 1_000_000
        warm_up = min(500, options.n // 5)  # allocators reach their level
        list(threads.map(send, range(first, first + warm_up)))
        before = live.rss_mb
        list(threads.map(send, range(first + warm_up, first + options.n)))
        after = live.rss_mb
        lost = [
            line
            for line in client.get("/metrics").text.splitlines()
            if line.startswith("cough_workers_lost_total")
        ]
    print(f"{options.n} files, slowest {slowest_s:.2f} s")
    for code, count in codes.most_common():
        print(f"{count:7} {code}")
    print("RSS in MB of the service and its workers")
    print(f"  after {warm_up} files: {', '.join(f'{mb:.0f}' for mb in before)}")
    print(f"  after all:       {', '.join(f'{mb:.0f}' for mb in after)}")
    print("\n".join(lost) or "no worker was lost")
    print("\n".join(faults) or "no fault")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
