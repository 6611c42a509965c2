"""``decode``: every format, every rate, every way a file can be unusable."""

from __future__ import annotations

import io
import os
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from cough import errors
from cough.audio import SAMPLE_RATE_HZ, DecodeLimits, Waveform, decode
from training.codecs import Codec, encode

Tone = Callable[..., np.ndarray]

ENCODED = {
    "wav_alaw": Codec("wav", "pcm_alaw", 8_000),
    "ogg_opus": Codec("ogg", "libopus"),
    "webm_opus": Codec("webm", "libopus"),
    "mp3": Codec("mp3", "libmp3lame", 44_100, 64_000, "s16p"),
    "m4a_aac": Codec("ipod", "aac", 44_100, None, "fltp"),
    "mp4_aac": Codec("mp4", "aac", 48_000, None, "fltp"),
    "mov_aac": Codec("mov", "aac", 48_000, None, "fltp"),
    "3gp_aac": Codec("3gp", "aac", 16_000, None, "fltp"),
    "3gp_amr": Codec("3gp", "libopencore_amrnb", 8_000, 12_200),
    "amr": Codec("amr", "libopencore_amrnb", 8_000, 12_200),
    "caf_pcm": Codec("caf", "pcm_s16be", 44_100),
    "caf_alac": Codec("caf", "alac", 44_100, None, "s16p"),
    "aac_adts": Codec("adts", "aac", 44_100, None, "fltp"),
    "aiff": Codec("aiff", "pcm_s16be", 44_100),
    "mkv_flac": Codec("matroska", "flac", 44_100),
}


def wav(
    samples: np.ndarray, *, rate_hz: int = 16_000, subtype: str = "PCM_16", container: str = "WAV"
) -> bytes:
    """Encode with libsndfile; ``samples`` is (n,) or (n, channels)."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate_hz, subtype=subtype, format=container)
    return buffer.getvalue()


def similarity(a: np.ndarray, b: np.ndarray) -> float:
    """Largest normalised cross-correlation at a delay of up to 64 ms (raw AAC keeps its priming)."""
    n = min(len(a), len(b)) - 2_048
    middle = a[1_024 : 1_024 + n]
    windows = np.lib.stride_tricks.sliding_window_view(b, n)[: len(b) - n + 1][:2_049]
    return float((windows @ middle / np.sqrt((middle @ middle) * (windows**2).sum(axis=1) + 1e-20)).max())


@pytest.fixture(scope="module")
def chirp() -> np.ndarray:
    """Two seconds sweeping 300-1,500 Hz, so that a wrong rate cannot correlate."""
    time = np.arange(2 * 16_000) / 16_000
    return (0.5 * np.sin(2 * np.pi * (300 * time + 300 * time**2))).astype(np.float32)


@pytest.mark.parametrize("name", ENCODED)
def test_decodes_format(name: str, chirp: np.ndarray) -> None:
    codec = ENCODED[name]
    waveform = decode(encode(chirp, codec))
    assert waveform.samples.dtype == np.float32
    assert waveform.source.rate_hz == codec.rate_hz
    assert waveform.source.channels == 1
    assert waveform.duration_s == pytest.approx(2.0, abs=0.15)
    assert similarity(chirp, waveform.samples) > 0.95


@pytest.mark.parametrize(
    ("subtype", "container", "tolerance"),
    [
        ("PCM_U8", "WAV", 1e-2),
        ("PCM_16", "WAV", 1e-4),
        ("PCM_24", "WAV", 1e-6),
        ("PCM_32", "WAV", 1e-6),
        ("FLOAT", "WAV", 1e-6),
        ("DOUBLE", "WAV", 1e-6),
        ("PCM_16", "RF64", 1e-4),
        ("PCM_16", "W64", 1e-4),
        ("PCM_16", "FLAC", 1e-4),
        ("PCM_24", "FLAC", 1e-6),
        ("PCM_16", "AU", 1e-4),
        ("PCM_16", "CAF", 1e-4),
    ],
)
def test_lossless_formats_are_exact(
    chirp: np.ndarray, subtype: str, container: str, tolerance: float
) -> None:
    waveform = decode(wav(chirp, subtype=subtype, container=container))
    np.testing.assert_allclose(waveform.samples, chirp, atol=tolerance)


def test_decodes_vorbis(chirp: np.ndarray) -> None:
    waveform = decode(wav(chirp, rate_hz=16_000, subtype="VORBIS", container="OGG"))
    assert waveform.source.codec == "vorbis"
    assert similarity(chirp, waveform.samples) > 0.95


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000, 192_000])
def test_any_rate_arrives_at_16_khz(tone: Tone, rate_hz: int) -> None:
    waveform = decode(wav(tone(1.0, hz=1_000, rate_hz=rate_hz), rate_hz=rate_hz))
    assert waveform.source.rate_hz == rate_hz
    assert len(waveform.samples) == pytest.approx(SAMPLE_RATE_HZ, abs=2)
    spectrum = np.abs(np.fft.rfft(waveform.samples[1_600:14_400]))
    assert np.argmax(spectrum) * SAMPLE_RATE_HZ / 12_800 == pytest.approx(1_000, abs=2)


def test_resampling_does_not_alias(tone: Tone) -> None:
    waveform = decode(wav(tone(1.0, hz=15_000, rate_hz=48_000), rate_hz=48_000, subtype="FLOAT"))
    assert np.abs(waveform.samples[1_000:-1_000]).max() < 1e-5  # -100 dB


def test_channels_are_averaged(tone: Tone) -> None:
    left, right = tone(1.0, hz=500), tone(1.0, hz=900)
    waveform = decode(wav(np.stack([left, right, 0 * left], axis=1), subtype="FLOAT"))
    assert waveform.source.channels == 3
    np.testing.assert_allclose(waveform.samples, (left + right) / 3, atol=1e-6)


def test_mp4_with_video_gives_its_audio(chirp: np.ndarray) -> None:
    assert similarity(chirp, decode(film(chirp)).samples) > 0.95


def film(samples: np.ndarray | None) -> bytes:
    """A second of mp4 video, with an AAC track where samples are given."""
    import av

    buffer = io.BytesIO()
    with av.open(buffer, mode="w", format="mp4") as container:
        video = container.add_stream("mpeg4", rate=10)
        video.width = video.height = 64
        video.pix_fmt = "yuv420p"
        audio = None
        if samples is not None:
            audio = container.add_stream("aac", rate=16_000)
            audio.codec_context.layout = "mono"
        for _ in range(10):
            picture = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
        if audio is not None and samples is not None:
            for start in range(0, len(samples) // 1_024 * 1_024, 1_024):
                piece = samples[None, start : start + 1_024]
                frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout="mono")
                frame.sample_rate, frame.pts = 16_000, start
                container.mux(audio.encode(frame))
            container.mux(audio.encode(None))
    return buffer.getvalue()


def test_bytes_path_and_file_object_agree(tmp_path: Path, chirp: np.ndarray) -> None:
    data = encode(chirp, ENCODED["m4a_aac"])
    path = tmp_path / "lies_about_its_type.wav"
    path.write_bytes(data)
    expected = decode(data).samples
    for source in (path, str(path), bytearray(data), memoryview(data), io.BytesIO(data)):
        np.testing.assert_array_equal(decode(source).samples, expected)
    with path.open("rb") as handle:
        np.testing.assert_array_equal(decode(handle).samples, expected)


def test_streamed_wav_without_sizes_is_whole(chirp: np.ndarray) -> None:
    data = bytearray(wav(chirp))
    position = data.index(b"data") + 4
    for size in (0xFFFFFFFF, 0x7FFFFFFF):
        data[4:8] = data[position : position + 4] = struct.pack("<I", size)
        assert len(decode(bytes(data)).samples) == len(chirp)


def test_samples_in_memory(tone: Tone) -> None:
    stereo = np.stack([tone(1.0, rate_hz=48_000)] * 2, axis=1)
    waveform = Waveform.from_samples((stereo * 32767).astype(np.int16), rate_hz=48_000)
    assert waveform.source.channels == 2
    assert waveform.duration_s == pytest.approx(1.0, abs=1e-3)
    with pytest.raises(ValueError, match="dimensions"):
        Waveform.from_samples(np.zeros((2, 2, 2)), rate_hz=16_000)
    with pytest.raises(errors.NonFiniteSamples):
        Waveform.from_samples(np.array([0.0, np.nan]), rate_hz=16_000)
    with pytest.raises(errors.EmptyInput):
        Waveform.from_samples(np.zeros(0), rate_hz=16_000)
    with pytest.raises(errors.UnsupportedRate):
        Waveform.from_samples(np.zeros(100), rate_hz=4_000)


class TestRefusals:
    """Each leaf of ``InputError`` from a file that provokes it."""

    def refuse(self, source: object, error: type[errors.InputError], **limits: float) -> errors.InputError:
        with pytest.raises(errors.InputError) as caught:
            decode(source, limits=DecodeLimits(**limits))  # type: ignore[arg-type]
        assert type(caught.value) is error, f"{type(caught.value).__name__}: {caught.value}"
        return caught.value

    def test_missing_path(self, tmp_path: Path) -> None:
        self.refuse(tmp_path / "nothing.wav", errors.FileMissing)
        self.refuse(tmp_path / "nothing" / "at_all.wav", errors.FileMissing)

    def test_directory_pipe_and_device(self, tmp_path: Path) -> None:
        self.refuse(tmp_path, errors.NotAFile)
        os.mkfifo(tmp_path / "pipe")
        self.refuse(tmp_path / "pipe", errors.NotAFile)
        self.refuse("/dev/zero", errors.NotAFile)

    def test_unreadable(self, tmp_path: Path) -> None:
        self.refuse("bad\0name.wav", errors.FileUnreadable)
        self.refuse("x" * 5_000, errors.FileUnreadable)

    def test_empty_file(self, tmp_path: Path) -> None:
        (tmp_path / "empty.wav").touch()
        self.refuse(tmp_path / "empty.wav", errors.EmptyInput)
        self.refuse(b"", errors.EmptyInput)
        self.refuse(io.BytesIO(), errors.EmptyInput)

    @pytest.mark.parametrize("container", ["WAV", "FLAC", "AIFF"])
    def test_no_samples(self, container: str) -> None:
        self.refuse(wav(np.zeros(0), container=container), errors.EmptyInput)

    @pytest.mark.parametrize(
        "data",
        [
            b"this is a text file, renamed .wav\n" * 20,
            b"#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n",
            b"ffconcat version 1.0\nfile '/etc/passwd'\n",
            b"%PDF-1.7\n" + bytes(500),
            b"\x89PNG\r\n\x1a\n" + bytes(500),
            bytes(4_000),
            b"R",
        ],
        ids=["text", "playlist", "concat", "pdf", "png", "zeros", "one byte"],
    )
    def test_not_audio(self, data: bytes) -> None:
        self.refuse(data, errors.NotAudio)

    def test_no_audio_track(self) -> None:
        self.refuse(film(None), errors.NoAudioTrack)

    @pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
    @pytest.mark.parametrize("name", ["m4a_aac", "3gp_amr", "caf_pcm", "mov_aac"])
    def test_truncated(self, chirp: np.ndarray, name: str, share: float) -> None:
        data = encode(chirp, ENCODED[name])
        self.refuse(data[: int(share * len(data))], errors.Truncated)

    @pytest.mark.parametrize("container", ["WAV", "FLAC", "AIFF"])
    def test_truncated_lossless(self, chirp: np.ndarray, container: str) -> None:
        data = wav(chirp, container=container)
        self.refuse(data[: len(data) // 2], errors.Truncated)

    def test_corrupt(self, chirp: np.ndarray) -> None:
        random = np.random.default_rng(0)
        self.refuse(b"OggS" + random.bytes(5_000), errors.Corrupt)
        data = bytearray(encode(chirp, ENCODED["m4a_aac"]))
        begin = data.index(b"mdat") + 4
        end = data.index(b"moov") - 4
        assert begin < end
        data[begin:end] = random.bytes(end - begin)
        self.refuse(bytes(data), errors.Corrupt)

    def test_unsupported_codec(self, chirp: np.ndarray) -> None:
        data = bytearray(wav(chirp))
        data[20:22] = struct.pack("<H", 0x7ABC)  # a format tag that nobody registered
        self.refuse(bytes(data), errors.UnsupportedCodec)

    def test_unsupported_rate(self) -> None:
        self.refuse(wav(np.zeros(4_000), rate_hz=4_000), errors.UnsupportedRate)
        self.refuse(wav(np.zeros(4_000), rate_hz=384_000), errors.UnsupportedRate)

    def test_too_large(self, tmp_path: Path, chirp: np.ndarray) -> None:
        data = wav(chirp)
        (tmp_path / "large.wav").write_bytes(data)
        for source in (data, tmp_path / "large.wav", io.BytesIO(data)):
            self.refuse(source, errors.TooLarge, max_bytes=10_000)
        decode(data, limits=DecodeLimits(max_bytes=len(data)))

    def test_too_long(self, chirp: np.ndarray) -> None:
        for data in (wav(chirp), encode(chirp, ENCODED["webm_opus"]), encode(chirp, ENCODED["amr"])):
            self.refuse(data, errors.TooLong, max_seconds=1.0)
        decode(wav(chirp), limits=DecodeLimits(max_seconds=2.0))

    def test_an_hour_is_too_long_rather_than_too_large(self, tmp_path: Path) -> None:
        path = tmp_path / "hour.wav"
        header = wav(np.zeros(10))[:44]
        size = 3_600 * 32_000
        with path.open("wb") as file:
            file.write(header[:4] + struct.pack("<I", size + 36) + header[8:40] + struct.pack("<I", size))
            file.truncate(44 + size)
        self.refuse(path, errors.TooLong)

    def test_too_many_channels(self) -> None:
        self.refuse(wav(np.zeros((1_000, 32))), errors.TooManyChannels)

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    def test_non_finite(self, chirp: np.ndarray, bad: float) -> None:
        samples = chirp.copy()
        samples[20_000] = bad
        self.refuse(wav(samples, subtype="FLOAT"), errors.NonFiniteSamples)

    def test_codes_are_unique_and_stable(self) -> None:
        leaves = [
            e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, errors.CoughError)
        ]
        codes = {leaf.code for leaf in leaves}
        assert len(codes) == len(leaves)
        for code in codes - {"error", "input", "bundle"}:
            assert code in (errors.__doc__ or ""), f"{code} is missing from the tree in the module docstring"


def test_bomb_stops_early() -> None:
    """Two hours of silence in a small FLAC: refused without unpacking them."""
    buffer = io.BytesIO()
    with soundfile.SoundFile(buffer, "w", 16_000, 1, format="FLAC", subtype="PCM_16") as file:
        for _ in range(120):
            file.write(np.zeros(60 * 16_000, np.int16))
    data = bytearray(buffer.getvalue())
    # Without its stated length (36 bits of STREAMINFO), only decoding can tell.
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    tracemalloc.start()
    with pytest.raises(errors.TooLong):
        decode(bytes(data))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60e6  # 300 s of float32 at 16 kHz are 19 MB


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(sorted(ENCODED)),
    cut=st.floats(0, 1),
    flips=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=8),
)
def test_damage_never_escapes_the_tree(name: str, cut: float, flips: list[tuple[float, int]]) -> None:
    """Any cut and any flipped bytes: a waveform or an InputError, nothing else."""
    data = bytearray(_sample(name))
    for position, value in flips:
        data[int(position * (len(data) - 1))] = value
    try:
        waveform = decode(bytes(data[: int(cut * len(data))]))
    except errors.InputError as error:
        assert str(error)
    else:
        assert len(waveform.samples) and np.isfinite(waveform.samples).all()
        assert np.abs(waveform.samples).max() <= 1.0


_SAMPLES: dict[str, bytes] = {}


def _sample(name: str) -> bytes:
    if name not in _SAMPLES:
        time = np.arange(8_000) / 16_000
        samples = (0.5 * np.sin(2 * np.pi * 500 * time)).astype(np.float32)
        _SAMPLES[name] = encode(samples, ENCODED[name])
    return _SAMPLES[name]


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=600))
def test_random_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(errors.InputError):
        decode(data)
