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
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, TypeAlias, cast

import av
import av.container
import av.error
import av.stream
import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from cough import container, errors
from cough.mixer import SAMPLE_RATE_HZ as SAMPLE_RATE_HZ
from cough.mixer import Float32 as Float32
from cough.mixer import Mixer, planes

AudioSource: TypeAlias = "str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes]"


@dataclass(frozen=True, kw_only=True)
class DecodeLimits:
    """What ``decode`` and ``AudioStream`` refuse. All limits are inclusive."""

    max_bytes: int = 64 * 1024 * 1024
    """Encoded size."""
    max_seconds: float = 300.0
    """Decoded duration at the source's own rate."""
    max_channels: int = 8
    min_rate_hz: int = 8_000
    max_rate_hz: int = 192_000
    max_bad_packets: float = 0.1
    """Share of packets that may fail to decode before the file counts as corrupt."""


LONG = DecodeLimits(max_bytes=1 << 40, max_seconds=31 * 24 * 3600.0)
"""A month, for what is not held as a whole."""


class SourceInfo(BaseModel):
    """Facts about the recording as it arrived, before mixing down and resampling."""

    model_config = ConfigDict(extra="forbid", frozen=True)

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
    clipped_fraction : share of the source's samples, in any channel, at 98.5 % of full scale or
        beyond; counted before resampling, which rounds flat tops off
    """

    samples: Float32
    source: SourceInfo
    clipped_fraction: float = 0.0

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
        EmptyInput, NonFiniteSamples, TooManyChannels, UnsupportedRate
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
        _check_channels(channels, limits)
        mixer = Mixer(rate_hz, channels)
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
        return cls(samples=np.clip(mono, -1.0, 1.0), source=source, clipped_fraction=mixer.clipped_fraction)


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
    stream = AudioStream(source, limits=limits or DecodeLimits())
    samples = np.concatenate(list(stream))
    return Waveform(samples=samples, source=stream.info, clipped_fraction=stream.clipped_fraction)


class AudioStream:
    """A recording piece by piece, for those too long to hold; ``decode`` is all its pieces at once.

    Iterate once for float32 arrays (n,) of mono samples at 16 kHz in [-1, 1], about a second each.
    Errors are those of ``decode``; that a file breaks off is known only after its last piece.
    Memory does not grow with a file given by its path; bytes and file objects are held as they are.

    Parameters
    ----------
    source : as for ``decode``
    limits : defaults to ``LONG``

    Attributes
    ----------
    info, clipped_fraction : as in ``Waveform``, complete after the last piece
    """

    info: SourceInfo
    clipped_fraction: float = 0.0

    def __init__(self, source: AudioSource, *, limits: DecodeLimits = LONG) -> None:
        self._limits = limits
        self._handle, self._size_bytes = _open(source, limits)

    @property
    def share_read(self) -> float:
        """How much of the file has been read, 0 to 1."""
        return 1.0 if self._handle.closed else min(1.0, self._handle.tell() / self._size_bytes)

    def __iter__(self) -> Iterator[Float32]:
        handle, size_bytes = self._handle, self._size_bytes
        with handle:
            kind = container.sniff(handle)
            container.check_index(handle, kind, size_bytes)
            try:
                yield from self._pieces(kind)
            except av.error.FFmpegError as error:
                raise _unreadable(handle, kind, size_bytes, self._limits) from error
            except OSError as error:  # a disk or a share that went away
                raise errors.FileUnreadable(
                    f"It cannot be read any further: {error.strerror or error}."
                ) from error

    def _pieces(self, kind: str) -> Iterator[Float32]:
        handle, size_bytes, limits = self._handle, self._size_bytes, self._limits
        placeholder = container.has_unknown_length(handle, kind, size_bytes)
        handle.seek(0)
        with av.open(handle, mode="r", format=kind, metadata_errors="ignore") as opened:
            if not opened.streams.audio:
                if container.is_cut(handle, kind, size_bytes):
                    raise _truncated()
                raise errors.NoAudioTrack("The file has no audio track.")
            stream = opened.streams.audio[0]
            codec = stream.codec_context
            if codec is None:
                raise errors.UnsupportedCodec("The audio codec in this file is not supported.")
            stated_s = None if placeholder else _stated_seconds(opened, stream, kind)
            if stated_s is not None and stated_s > limits.max_seconds:
                raise _too_long(limits)
            # After the stated duration: "too long" helps a person more than "too many bytes".
            if size_bytes > limits.max_bytes:
                raise errors.TooLarge(f"The file is larger than {limits.max_bytes:,} bytes.")
            _check_channels(codec.channels, limits)
            mixed = _Mixed()
            for piece in mixed.pieces(_frames(opened, stream, limits), limits):
                yield np.clip(piece, -1.0, 1.0)
            container_name = opened.format.name.split(",")[0]
            codec_name = codec.codec.canonical_name
        _check_complete(handle, kind, size_bytes, stated_s, max(mixed.duration_s, mixed.end_s))
        if not mixed.n_samples:
            raise errors.EmptyInput("The recording holds no samples.")
        self.clipped_fraction = mixed.clipped_fraction
        self.info = SourceInfo(
            container=container_name,
            codec=codec_name,
            rate_hz=mixed.rate_hz,
            channels=mixed.channels,
            duration_s=mixed.duration_s,
            size_bytes=size_bytes,
        )


def _open(source: AudioSource, limits: DecodeLimits) -> tuple[BinaryIO, int]:
    """A seekable handle on the source and its size in bytes."""
    if isinstance(source, str | os.PathLike):
        return _open_path(source)
    if isinstance(source, bytes | bytearray | memoryview):
        data = bytes(source)
    elif hasattr(source, "read"):
        data = read_at_most(source, limits.max_bytes + 1)
    else:
        raise TypeError(f"a recording is a path, bytes or a binary file, not {type(source).__name__}")
    if not data:
        raise errors.EmptyInput("The recording holds no bytes.")
    return io.BytesIO(data), len(data)


def read_at_most(source: IO[bytes], n: int) -> bytes:
    """All there is, or so many bytes; ``read`` of a raw or network file may return less than is to come."""
    pieces, left = [], n
    while left and (piece := source.read(min(left, 1 << 20))):  # raw files allocate what is asked for
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


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


class _Mixed:
    """Frames to pieces at 16 kHz, and the facts that only decoding tells."""

    def __init__(self) -> None:
        self.rate_hz = self.channels = 0
        """Of the first frame."""
        self.duration_s = self.end_s = 0.0
        """``end_s``: where the last frame ends by its time stamp; later than ``duration_s`` with gaps."""
        self.clipped_fraction = 0.0
        self.n_samples = 0

    def pieces(self, frames: Iterator[av.AudioFrame], limits: DecodeLimits) -> Iterator[Float32]:
        mixer: Mixer | None = None
        kind: tuple[int, int, str] | None = None
        # Gathered in C: Python's share of a 20 ms packet would cost more than mixing and resampling it.
        gathered = av.AudioFifo()
        decoded_s = 0.0
        for frame in frames:
            this = (frame.sample_rate, frame.layout.nb_channels, frame.format.name)
            if mixer is None or this != kind:
                _check_rate(frame.sample_rate, limits)
                _check_channels(frame.layout.nb_channels, limits)
                if mixer is None:
                    self.rate_hz, self.channels = this[:2]
                else:
                    yield from self._finished(mixer, gathered)
                kind, mixer, gathered = this, Mixer(*this[:2]), av.AudioFifo()
            seconds = frame.samples / frame.sample_rate
            decoded_s += seconds
            if decoded_s > limits.max_seconds + 1e-6:  # adding up frames rounds
                raise _too_long(limits)
            if frame.time is not None:
                self.end_s = max(self.end_s, frame.time + seconds)
            frame.pts = None  # the queue would refuse gaps
            gathered.write(frame)
            if gathered.samples >= frame.sample_rate:
                yield from self._mixed(mixer, gathered)
        if mixer is not None:
            yield from self._finished(mixer, gathered)

    def _mixed(self, mixer: Mixer, gathered: av.AudioFifo) -> Iterator[Float32]:
        frame = gathered.read()  # all of it
        if frame is not None:
            yield from self._counted(mixer.push(planes(frame)))

    def _finished(self, mixer: Mixer, gathered: av.AudioFifo) -> Iterator[Float32]:
        yield from self._mixed(mixer, gathered)
        yield from self._counted(mixer.flush())
        self.duration_s += mixer.seconds
        self.clipped_fraction = max(self.clipped_fraction, mixer.clipped_fraction)

    def _counted(self, piece: Float32) -> Iterator[Float32]:
        self.n_samples += len(piece)
        if len(piece):
            yield piece


def _frames(
    opened: av.container.InputContainer, stream: av.AudioStream, limits: DecodeLimits
) -> Iterator[av.AudioFrame]:
    """Decoded frames. A few bad packets are skipped, as players do; more raise Corrupt."""
    decoder = _decoder(stream)
    good = bad = 0
    unsupported = False
    packets = opened.demux(stream)
    while True:
        try:
            packet = next(packets, None)
            if packet is None:
                break
            frames = decoder.decode(packet if packet.size else None)
        except av.error.FFmpegError as error:
            unsupported |= isinstance(error, av.error.PatchWelcomeError)
            bad += 1
            if bad > 3 and bad > limits.max_bad_packets * (good + bad):
                break
            continue
        good += bool(frames)
        yield from frames
    if bad and (not good or (bad > 3 and bad > limits.max_bad_packets * (good + bad))):
        if unsupported:
            raise errors.UnsupportedCodec("The audio codec in this file is not supported.")
        raise errors.Corrupt("Too much of the recording cannot be decoded.")


def _decoder(stream: av.AudioStream) -> av.AudioCodecContext:
    """The stream's own decoder, except for AMR: FFmpeg's lacks the comfort noise that phones send."""
    name = {"amrnb": "libopencore_amrnb", "amrwb": "libopencore_amrwb"}.get(stream.codec_context.name)
    if name is None:
        return stream.codec_context
    decoder = cast(av.AudioCodecContext, av.CodecContext.create(name, "r"))
    decoder.sample_rate = stream.codec_context.sample_rate
    decoder.layout = stream.codec_context.layout
    return decoder


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


def _stated_seconds(opened: av.container.InputContainer, stream: av.stream.Stream, kind: str) -> float | None:
    """The duration that the file itself states; None where FFmpeg could only estimate it."""
    if kind in ("mov", "flac", "wav", "w64", "caf", "aiff", "au") and stream.duration is not None:
        return float(stream.duration * (stream.time_base or 0))
    if kind == "matroska" and opened.duration and not opened.streams.video:
        return opened.duration / av.time_base
    return None


def _check_complete(
    handle: BinaryIO, kind: str, size_bytes: int, stated_s: float | None, heard_s: float
) -> None:
    """Raise Truncated where less arrived than the file says it holds.

    Ogg, AMR, MP3 and live webm do not say; of those, what arrived is what there is.
    """
    short = stated_s is not None and heard_s < stated_s - max(0.25, 0.02 * stated_s)
    if short or container.is_cut(handle, kind, size_bytes):
        raise _truncated()


def _unreadable(handle: BinaryIO, kind: str, size_bytes: int, limits: DecodeLimits) -> errors.InputError:
    """Which error a file deserves that FFmpeg could not open at all."""
    if size_bytes > limits.max_bytes:
        return errors.TooLarge(f"The file is larger than {limits.max_bytes:,} bytes.")
    if container.is_cut(handle, kind, size_bytes):
        return _truncated()
    return errors.Corrupt("The recording cannot be read: its structure is damaged.")
