"""Every error this library raises on purpose, as one tree.

::

    CoughError
    ├── InputError              the recording cannot be measured (the sender's to mend)
    │   ├── FileMissing             file_missing         no such path
    │   ├── NotAFile                not_a_file           a directory, device or pipe
    │   ├── FileUnreadable          file_unreadable      the system refuses to read it
    │   ├── EmptyInput              empty                no bytes, or no samples
    │   ├── NotAudio                not_audio            no known audio or video container
    │   ├── NoAudioTrack            no_audio_track       a container, but nothing to hear in it
    │   ├── Truncated               truncated            ends before its header says it should
    │   ├── Corrupt                 corrupt              too many packets cannot be decoded
    │   ├── UnsupportedCodec        unsupported_codec    known container, codec without decoder
    │   ├── UnsupportedRate         unsupported_rate     sample rate outside 8-192 kHz
    │   ├── TooLarge                too_large            more bytes than allowed
    │   ├── TooLong                 too_long             more seconds than allowed
    │   ├── TooManyChannels         too_many_channels    more channels than allowed
    │   └── NonFiniteSamples        non_finite           NaN or infinite samples
    ├── BundleError             the model bundle cannot be used (the operator's to mend)
    │   ├── BundleMissing           bundle_missing
    │   ├── BundleTampered          bundle_tampered      a file does not match its sha256
    │   └── BundleIncompatible      bundle_incompatible  a key, rate or shape does not fit
    ├── ManifestError           a manifest or a table cannot be used (its author's to mend)
    │   ├── ManifestMissing         manifest_missing     nothing at the path
    │   ├── ManifestInvalid         manifest_invalid     no CSV, a column missing, a cell that does not fit
    │   ├── BatchMismatch           batch_mismatch       the folder or the record is of another run
    │   ├── BatchRunning            batch_running        another process is writing into the folder
    │   └── PredictionsInvalid      predictions_invalid  no table of predictions, or not of these recordings
    ├── CorpusError             a public corpus cannot be fetched, prepared or trained on
    │   ├── CorpusUnknown           corpus_unknown       no corpus, or no part of one, of that name
    │   ├── CorpusNotOpen           corpus_not_open      its owner gives it on request only
    │   ├── DatasetInvalid          dataset_invalid      a dataset.yaml is not what it should be
    │   ├── DownloadFailed          download_failed      the server does not give the file, or not all of it
    │   ├── ChecksumMismatch        checksum_mismatch    other bytes than those published
    │   ├── ArchiveUnsafe           archive_unsafe       paths that escape, links, or far too much inside
    │   ├── LayoutUnknown           layout_unknown       the folder is not laid out like the corpus
    │   └── CorpusTooSmall          corpus_too_small     too few recordings of a kind to train on
    ├── OutputUnwritable        output_unwritable    the folder of results cannot be made or written
    ├── JournalDamaged          journal_damaged      what a batch run had done cannot be read back
    ├── WorkersFailed           workers_failed       processes of a batch run do not start
    └── MissingExtra            missing_extra            an optional dependency is not installed

``code`` is stable: clients may branch on it and translate it. The message is English, for people,
and never holds anything about the machine beyond what the caller passed in.
"""

from __future__ import annotations

from typing import ClassVar


class CoughError(Exception):
    """Base of every deliberate error. ``str(error)`` is one sentence for a person."""

    code: ClassVar[str] = "error"


class InputError(CoughError):
    """The recording cannot be measured."""

    code = "input"


class FileMissing(InputError):
    """No such path."""

    code = "file_missing"


class NotAFile(InputError):
    """The path is a directory, a device or a pipe."""

    code = "not_a_file"


class FileUnreadable(InputError):
    """The operating system refuses to read the file."""

    code = "file_unreadable"


class EmptyInput(InputError):
    """No bytes, or a container without a single sample."""

    code = "empty"


class NotAudio(InputError):
    """The bytes are no known audio or video container."""

    code = "not_audio"


class NoAudioTrack(InputError):
    """A readable container without an audio track."""

    code = "no_audio_track"


class Truncated(InputError):
    """The file ends before its own header says that it should."""

    code = "truncated"


class Corrupt(InputError):
    """Too many packets cannot be decoded."""

    code = "corrupt"


class UnsupportedCodec(InputError):
    """The container is known; the codec inside has no decoder here."""

    code = "unsupported_codec"


class UnsupportedRate(InputError):
    """The sample rate is outside 8-192 kHz."""

    code = "unsupported_rate"


class TooLarge(InputError):
    """More bytes than allowed."""

    code = "too_large"


class TooLong(InputError):
    """More seconds of audio than allowed."""

    code = "too_long"


class TooManyChannels(InputError):
    """More channels than allowed."""

    code = "too_many_channels"


class NonFiniteSamples(InputError):
    """The samples hold NaN or infinity."""

    code = "non_finite"


class BundleError(CoughError):
    """The model bundle cannot be used."""

    code = "bundle"


class BundleMissing(BundleError):
    """No bundle at the path, or a file that it lists is absent."""

    code = "bundle_missing"


class BundleTampered(BundleError):
    """A file of the bundle does not match the sha256 that ``bundle.json`` states."""

    code = "bundle_tampered"


class BundleIncompatible(BundleError):
    """``bundle.json`` lacks a key, or a rate, shape or version does not fit this library."""

    code = "bundle_incompatible"


class ManifestError(CoughError):
    """A manifest, or a table made from one, cannot be used."""

    code = "manifest"


class ManifestMissing(ManifestError):
    """There is no manifest at the path."""

    code = "manifest_missing"


class ManifestInvalid(ManifestError):
    """No CSV in UTF-8, a column missing, a cell that does not fit its column, a recording named twice."""

    code = "manifest_invalid"


class BatchMismatch(ManifestError):
    """A folder of results, or a ``run.json``, belongs to another run."""

    code = "batch_mismatch"


class BatchRunning(ManifestError):
    """Another process is writing into the folder of results."""

    code = "batch_running"


class PredictionsInvalid(ManifestError):
    """No table of predictions, or not one of the manifest's recordings."""

    code = "predictions_invalid"


class CorpusError(CoughError):
    """A public corpus cannot be fetched, prepared or trained on."""

    code = "corpus"


class CorpusUnknown(CorpusError):
    """No corpus, or no part of one, of that name."""

    code = "corpus_unknown"


class CorpusNotOpen(CorpusError):
    """The owner of the corpus gives it on request only, or from a page that a program cannot use."""

    code = "corpus_not_open"


class DatasetInvalid(CorpusError):
    """A ``dataset.yaml`` is not what it should be."""

    code = "dataset_invalid"


class DownloadFailed(CorpusError):
    """The server does not give the file, or not all of it."""

    code = "download_failed"


class ChecksumMismatch(CorpusError):
    """The file holds other bytes than those published."""

    code = "checksum_mismatch"


class ArchiveUnsafe(CorpusError):
    """An archive with paths that escape, links, or far more inside than it should hold."""

    code = "archive_unsafe"


class LayoutUnknown(CorpusError):
    """The folder is not laid out like the corpus."""

    code = "layout_unknown"


class CorpusTooSmall(CorpusError):
    """Too few recordings of a kind to train on."""

    code = "corpus_too_small"


class OutputUnwritable(CoughError):
    """The folder of results cannot be made or written."""

    code = "output_unwritable"


class JournalDamaged(CoughError):
    """What a batch run had done cannot be read back."""

    code = "journal_damaged"


class WorkersFailed(CoughError):
    """The worker processes of a batch run do not start."""

    code = "workers_failed"


class MissingExtra(CoughError):
    """An optional dependency is not installed."""

    code = "missing_extra"
