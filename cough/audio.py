"""Bytes, a path or a file object in; float32 mono 16 kHz out.

PyAV (FFmpeg's libraries) decodes, soxr HQ resamples. What a file *is* comes from its first bytes,
never from its name, and FFmpeg is told which demuxer to use: left to guess, it would also try
playlist formats that open other files and addresses.

Nothing is held that will be refused: seconds, channels and rate are checked on what the decoder
gives, packet by packet, so that a small file that unpacks to hours stops at the limit.
"""

from __future__ import annotations

import io
import os
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, TypeAlias, cast

import av
import av.container
import av.error
import av.stream
import numpy as np
import numpy.typing as npt
import soxr

from cough import errors

SAMPLE_RATE_HZ = 16_000

Float32: TypeAlias = npt.NDArray[np.float32]
AudioSource: TypeAlias = "str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes]"

_UNKNOWN_SIZES = (0, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
"""What writers that cannot seek back leave in a RIFF size field (at or past 2 GiB - 1, or 0)."""


@dataclass(frozen=True, kw_only=True)
class DecodeLimits:
    """What ``decode`` refuses. All limits are inclusive."""

    max_bytes: int = 64 * 1024 * 1024
    """Encoded size."""
    max_seconds: float = 300.0
    """Decoded duration at the source's own rate."""
    max_channels: int = 8
    min_rate_hz: int = 8_000
    max_rate_hz: int = 192_000
    max_bad_packets: float = 0.1
    """Share of packets that may fail to decode before the file counts as corrupt."""


@dataclass(frozen=True, kw_only=True)
class SourceInfo:
    """Facts about the recording as it arrived, before mixing down and resampling."""

    container: str
    codec: str
    rate_hz: int
    channels: int
    duration_s: float
    size_bytes: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Waveform:
    """A recording as every later step sees it.

    Attributes
    ----------
    samples : float32 array of shape (n_samples,), mono, 16 kHz, within [-1, 1]
    source : what the recording was before decoding
    """

    samples: Float32
    source: SourceInfo

    @property
    def duration_s(self) -> float:
        """Seconds of audio at 16 kHz."""
        return len(self.samples) / SAMPLE_RATE_HZ

    @classmethod
    def from_samples(cls, samples: npt.ArrayLike, *, rate_hz: int) -> Waveform:
        """Wrap samples that are already in memory.

        Parameters
        ----------
        samples : array of shape (n_samples,) or (n_samples, n_channels); floats in [-1, 1] or
            integers of the full range of their type
        rate_hz : 8,000 to 192,000

        Raises
        ------
        EmptyInput, NonFiniteSamples, UnsupportedRate
        ValueError : more than two dimensions
        """
        array = np.asarray(samples)
        if array.ndim not in (1, 2):
            raise ValueError(f"samples must have 1 or 2 dimensions, not {array.ndim}")
        limits = DecodeLimits()
        _check_rate(rate_hz, limits)
        channels = 1 if array.ndim == 1 else array.shape[1]
        if not array.size:
            raise errors.EmptyInput("There are no samples.")
        mixer = _Mixer(rate_hz, channels)
        mono = np.concatenate([mixer.push(array.reshape(len(array), channels).T), mixer.flush()])
        if not len(mono):
            raise errors.EmptyInput("There are no samples.")
        source = SourceInfo(
            container="memory",
            codec=str(array.dtype),
            rate_hz=rate_hz,
            channels=channels,
            duration_s=len(array) / rate_hz,
            size_bytes=array.nbytes,
        )
        return cls(samples=np.clip(mono, -1.0, 1.0), source=source)


def decode(source: AudioSource, *, limits: DecodeLimits | None = None) -> Waveform:
    """Decode any recording a phone, a browser or a corpus is likely to hold.

    Containers: wav, w64, aiff, au, flac, ogg (Vorbis, Opus, FLAC), webm/mkv, mp3, aac, m4a/mp4/3gp/mov,
    amr, caf, avi, flv, asf; with whatever audio codec FFmpeg decodes. Channels are averaged.

    Parameters
    ----------
    source : a path, the bytes themselves, or a binary file object (read from where it stands)
    limits : defaults to ``DecodeLimits()``

    Returns
    -------
    Waveform : float32 mono 16 kHz, with the source's codec, rate, channels and duration

    Raises
    ------
    InputError : one leaf of the tree in ``cough.errors`` for each way a file can be unusable
    """
    limits = limits or DecodeLimits()
    handle, size_bytes = _open(source, limits)
    with handle:
        container = _sniff(handle)
        try:
            return _decode(handle, container, size_bytes, limits)
        except av.error.FFmpegError as error:
            raise _unreadable(handle, container, size_bytes, limits) from error


def _open(source: AudioSource, limits: DecodeLimits) -> tuple[BinaryIO, int]:
    """A seekable handle on the source and its size in bytes."""
    if isinstance(source, str | os.PathLike):
        return _open_path(source)
    if isinstance(source, bytes | bytearray | memoryview):
        data = bytes(source)
    else:
        data = source.read(limits.max_bytes + 1)
    if not data:
        raise errors.EmptyInput("The recording holds no bytes.")
    return io.BytesIO(data), len(data)


def _open_path(path: str | os.PathLike[str]) -> tuple[BinaryIO, int]:
    name = Path(path)
    try:
        # Asked before opening: opening a pipe would wait for a writer.
        status = name.stat()
        if not stat.S_ISREG(status.st_mode):
            raise errors.NotAFile(f"{name} is not a regular file.")
        handle = name.open("rb")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise errors.FileMissing(f"There is no file {name}.") from error
    except (OSError, ValueError) as error:
        raise errors.FileUnreadable(f"{name} cannot be read.") from error
    if status.st_size == 0:
        handle.close()
        raise errors.EmptyInput("The recording holds no bytes.")
    return handle, status.st_size


def _sniff(handle: BinaryIO) -> str:
    """FFmpeg's demuxer for the first bytes; raises NotAudio where none of ours fits."""
    head = handle.read(16)
    handle.seek(0)
    kind = _SIGNATURES.get(head[:4])
    if kind == "riff":
        kind = {b"WAVE": "wav", b"AVI ": "avi"}.get(head[8:12])
    elif kind == "form":
        kind = {b"AIFF": "aiff", b"AIFC": "aiff"}.get(head[8:12])
    elif kind is None and head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        kind = "mov"
    elif kind is None and head[:3] == b"ID3":
        kind = _after_id3(handle)
    elif kind is None:
        kind = _mpeg_sync(head)
    if kind is None:
        raise errors.NotAudio("The file is not a recording in any known format.")
    return kind


_SIGNATURES = {
    b"RIFF": "riff",
    b"RIFX": "riff",
    b"RF64": "riff",
    b"riff": "w64",
    b"FORM": "form",
    b"fLaC": "flac",
    b"OggS": "ogg",
    b"\x1aE\xdf\xa3": "matroska",
    b"caff": "caf",
    b"#!AM": "amr",
    b".snd": "au",
    b"FLV\x01": "flv",
    b"0&\xb2u": "asf",
}


def _mpeg_sync(head: bytes) -> str | None:
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    if head[1] & 0xF6 == 0xF0:
        return "aac"
    layer, bitrate, rate = head[1] & 0x06, head[2] >> 4, head[2] >> 2 & 3
    return "mp3" if layer and bitrate != 15 and rate != 3 else None


def _after_id3(handle: BinaryIO) -> str:
    """Some taggers put ID3 before FLAC or raw AAC; the tag's own length says where to look."""
    head = handle.read(10)
    if len(head) < 10:
        raise errors.Truncated("The file ends inside its tag.")
    length = 10 + (head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9])
    handle.seek(length)
    after = handle.read(4)
    handle.seek(0)
    if not after:
        raise errors.Truncated("The file ends inside its tag.")
    return "flac" if after == b"fLaC" else _mpeg_sync(after) or "mp3"


def _decode(handle: BinaryIO, kind: str, size_bytes: int, limits: DecodeLimits) -> Waveform:
    with av.open(handle, mode="r", format=kind, metadata_errors="ignore") as container:
        if not container.streams.audio:
            if _last_box_is_cut(handle, kind, size_bytes):
                raise _truncated()
            raise errors.NoAudioTrack("The file has no audio track.")
        stream = container.streams.audio[0]
        codec = stream.codec_context
        if codec is None:
            raise errors.UnsupportedCodec("The audio codec in this file is not supported.")
        stated_s = _stated_seconds(container, stream, kind)
        if stated_s is not None and stated_s > limits.max_seconds:
            raise _too_long(limits)
        # After the stated duration: "too long" helps a person more than "too many bytes".
        if size_bytes > limits.max_bytes:
            raise errors.TooLarge(f"The file is larger than {limits.max_bytes:,} bytes.")
        _check_channels(codec.channels, limits)
        chunks, rate_hz, channels, source_samples = _drain(container, stream, limits)
        container_name = container.format.name.split(",")[0]
        codec_name = codec.codec.canonical_name
    duration_s = source_samples / rate_hz if rate_hz else 0.0
    _check_complete(handle, kind, size_bytes, stated_s, duration_s)
    if not source_samples:
        raise errors.EmptyInput("The recording holds no samples.")
    samples = np.clip(np.concatenate(chunks), -1.0, 1.0)
    if not len(samples):
        raise errors.EmptyInput("The recording holds no samples.")
    info = SourceInfo(
        container=container_name,
        codec=codec_name,
        rate_hz=rate_hz,
        channels=channels,
        duration_s=duration_s,
        size_bytes=size_bytes,
    )
    return Waveform(samples=samples, source=info)


def _drain(
    container: av.container.InputContainer, stream: av.AudioStream, limits: DecodeLimits
) -> tuple[list[Float32], int, int, int]:
    """All chunks at 16 kHz mono; the first frame's rate and channels; samples at source rate."""
    mixer: _Mixer | None = None
    chunks: list[Float32] = []
    rate_hz = channels = 0
    decoded_s = 0.0
    for frame in _frames(container, stream, limits):
        n_channels = len(frame.layout.channels)
        if mixer is None or (frame.sample_rate, n_channels) != (mixer.rate_hz, mixer.channels):
            _check_rate(frame.sample_rate, limits)
            _check_channels(n_channels, limits)
            if mixer is None:
                rate_hz, channels = frame.sample_rate, n_channels
            else:
                chunks.append(mixer.flush())
            mixer = _Mixer(frame.sample_rate, n_channels)
        decoded_s += frame.samples / frame.sample_rate
        if decoded_s > limits.max_seconds + 1e-6:  # adding up frames rounds
            raise _too_long(limits)
        chunks.append(mixer.push(_planes(frame, n_channels)))
    if mixer is not None:
        chunks.append(mixer.flush())
    return chunks, rate_hz, channels, round(decoded_s * rate_hz)


_SAMPLE_TYPES = {"u8": "u1", "s16": "i2", "s32": "i4", "s64": "i8", "flt": "f4", "dbl": "f8"}


def _planes(frame: av.AudioFrame, channels: int) -> npt.NDArray[Any]:
    """A frame's samples as they are, (n_channels, n); a copy, because FFmpeg reuses its buffers.

    Spelled out because ``AudioFrame.to_ndarray`` costs more than decoding a 20 ms Opus packet.
    """
    dtype = np.dtype(_SAMPLE_TYPES[frame.format.name.removesuffix("p")])
    n = frame.samples
    planes = [np.frombuffer(memoryview(plane), dtype) for plane in frame.planes]
    if frame.format.is_planar:
        return np.array([plane[:n] for plane in planes])
    return planes[0][: n * channels].reshape(n, channels).T.copy()


def _frames(
    container: av.container.InputContainer, stream: av.AudioStream, limits: DecodeLimits
) -> Iterator[av.AudioFrame]:
    """Decoded frames. A few bad packets are skipped, as players do; more raise Corrupt."""
    good = bad = 0
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
            if packet is None:
                break
            yield from packet.decode()
            good += 1
        except av.error.PatchWelcomeError as error:
            raise errors.UnsupportedCodec("The audio codec in this file is not supported.") from error
        except av.error.FFmpegError:
            bad += 1
            if bad > 3 and bad > limits.max_bad_packets * (good + bad):
                raise errors.Corrupt("Too much of the recording cannot be decoded.") from None
    if bad and not good:
        raise errors.Corrupt("None of the recording can be decoded.")


class _Mixer:
    """Averages channels and resamples about a second at a time, so that little is ever held."""

    def __init__(self, rate_hz: int, channels: int) -> None:
        self.rate_hz = rate_hz
        self.channels = channels
        self._pending: list[npt.NDArray[Any]] = []
        self._pending_samples = 0
        self._resampler = (
            None
            if rate_hz == SAMPLE_RATE_HZ
            else soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32", quality="HQ")
        )

    def push(self, chunk: npt.NDArray[Any]) -> Float32:
        """(n_channels, n) of the source's type and rate in; (m,) at 16 kHz out, m often 0."""
        self._pending.append(chunk)
        self._pending_samples += chunk.shape[1]
        if self._pending_samples < self.rate_hz:
            return np.zeros(0, np.float32)
        return self._resample(last=False)

    def flush(self) -> Float32:
        """What is left; the mixer is spent afterwards."""
        return self._resample(last=True)

    def _resample(self, *, last: bool) -> Float32:
        nothing = np.zeros(0, np.float32)
        mono = self._mix(np.concatenate(self._pending, axis=1)) if self._pending else nothing
        self._pending, self._pending_samples = [], 0
        if self._resampler is None:
            return mono
        return cast(Float32, self._resampler.resample_chunk(mono, last=last))

    def _mix(self, chunk: npt.NDArray[Any]) -> Float32:
        samples = _to_float(chunk)
        # In float64: the mean of two float32 extremes must not overflow.
        mono = samples[0] if self.channels == 1 else samples.mean(axis=0, dtype=np.float64)
        if not np.isfinite(mono).all():
            raise errors.NonFiniteSamples("The recording holds NaN or infinite samples.")
        # What players do with float files beyond full scale; also keeps the resampler finite.
        return np.asarray(np.clip(mono, -1.0, 1.0), np.float32)


def _to_float(array: npt.NDArray[Any]) -> Float32:
    """Full-scale integers of any width, or floats, to float32 in [-1, 1)."""
    if array.dtype == np.uint8:
        return np.asarray((array.astype(np.float32) - 128.0) / 128.0, np.float32)
    if np.issubdtype(array.dtype, np.integer):
        full_scale = np.float32(-float(np.iinfo(array.dtype).min))
        return np.asarray(array.astype(np.float32) / full_scale, np.float32)
    with np.errstate(over="ignore"):  # a double beyond float32 becomes inf and is refused later
        return array.astype(np.float32)


def _check_channels(channels: int, limits: DecodeLimits) -> None:
    if channels > limits.max_channels:
        raise errors.TooManyChannels(
            f"The recording has {channels} channels; at most {limits.max_channels} are accepted."
        )


def _check_rate(rate_hz: int, limits: DecodeLimits) -> None:
    if not limits.min_rate_hz <= rate_hz <= limits.max_rate_hz:
        raise errors.UnsupportedRate(
            f"The sample rate is {rate_hz} Hz; {limits.min_rate_hz} to {limits.max_rate_hz} Hz are accepted."
        )


def _too_long(limits: DecodeLimits) -> errors.TooLong:
    return errors.TooLong(f"The recording is longer than {limits.max_seconds:g} s.")


def _truncated() -> errors.Truncated:
    return errors.Truncated("The recording breaks off before its end; it may not have uploaded whole.")


def _stated_seconds(
    container: av.container.InputContainer, stream: av.stream.Stream, kind: str
) -> float | None:
    """The duration that the file itself states; None where FFmpeg could only estimate it."""
    if kind in ("mov", "flac", "wav", "w64", "caf", "aiff", "au") and stream.duration is not None:
        return float(stream.duration * (stream.time_base or 0))
    if kind == "matroska" and container.duration and not container.streams.video:
        return container.duration / av.time_base
    return None


def _check_complete(
    handle: BinaryIO, kind: str, size_bytes: int, stated_s: float | None, decoded_s: float
) -> None:
    """Raise Truncated where less arrived than the file says it holds.

    Ogg, AMR, MP3 and live webm do not say; of those, what arrived is what there is.
    """
    short = stated_s is not None and decoded_s < stated_s - max(0.25, 0.02 * stated_s)
    if short or _last_box_is_cut(handle, kind, size_bytes):
        raise _truncated()


def _unreadable(handle: BinaryIO, kind: str, size_bytes: int, limits: DecodeLimits) -> errors.InputError:
    """Which error a file deserves that FFmpeg could not open at all."""
    if size_bytes > limits.max_bytes:
        return errors.TooLarge(f"The file is larger than {limits.max_bytes:,} bytes.")
    if _last_box_is_cut(handle, kind, size_bytes):
        return _truncated()
    return errors.Corrupt("The recording cannot be read: its structure is damaged.")


def _last_box_is_cut(handle: BinaryIO, kind: str, size_bytes: int) -> bool:
    """Whether a top-level box of a wav, aiff, caf or mp4 file claims bytes past the file's end."""
    if kind in ("wav", "aiff"):
        return _riff_is_cut(handle, size_bytes)
    if kind not in ("mov", "caf"):
        return False
    position = 8 if kind == "caf" else 0
    while position + 8 <= size_bytes:
        handle.seek(position)
        head = handle.read(16)
        if kind == "caf":
            if len(head) < 12:
                return True
            length = struct.unpack(">q", head[4:12])[0]
            length += 12 if length >= 0 else 0
        else:
            length = struct.unpack(">I", head[:4])[0]
            if length == 1 and len(head) == 16:
                length = struct.unpack(">Q", head[8:16])[0]
        if length <= 0:  # "to the end of the file"
            return False
        if length < 8:
            return False  # damaged rather than cut
        position += length
    return position > size_bytes


def _riff_is_cut(handle: BinaryIO, size_bytes: int) -> bool:
    handle.seek(0)
    order = "<I" if handle.read(4) in (b"RIFF", b"RF64") else ">I"
    position = 12
    while position + 8 <= size_bytes:
        handle.seek(position)
        name, length = handle.read(4), struct.unpack(order, handle.read(4))[0]
        if name in (b"data", b"SSND"):
            unknown = length in _UNKNOWN_SIZES or length > 0x7FFFFFFF
            return not unknown and position + 8 + length > size_bytes
        position += 8 + length + (length & 1)
    return True
