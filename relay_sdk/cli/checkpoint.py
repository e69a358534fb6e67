"""The progress of an `enqueue` in a file beside its input, so that the next run can resume.

The server deletes a job when it is completed. Ids alone would therefore not keep a second run from
enqueueing such a job again.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path

import msgspec

from relay_sdk.cli.errors import UsageError
from relay_sdk.cli.input_reader import Record
from relay_sdk.cli.output import print_message


class _Position(msgspec.Struct):
    records: int
    digest: str


class Checkpoint:
    """The position in one input. A run resumes only if its `settings` are equal."""

    def __init__(self, source: Path, settings: Sequence[object]) -> None:
        # Resolve links, so that each path to the input finds the same checkpoint.
        real = source.resolve()
        self._file = real.with_name(real.name + ".relay-enqueue")
        self._digest = blake2b(repr(settings).encode(), digest_size=16)
        self._records = 0
        self.saved: bool = True
        """Whether the last write succeeded."""

    def skip(self, records: Iterable[Record]) -> Iterator[Record]:
        """Skip the records that an interrupted run has enqueued.

        Raise `UsageError` if that run had another input or other settings.
        """
        saved = self._load()
        for record in records:
            if saved is None:
                yield record
                continue
            self._count(record)
            if self._records == saved.records:
                self._check(saved)
                print_message(
                    f"resuming after {saved.records:,} jobs that an earlier run has enqueued"
                )
                saved = None
        if saved is not None:
            self._check(saved)

    def save(self, records: Iterable[Record]) -> None:
        """Record that the server has acknowledged these too."""
        for record in records:
            self._count(record)
        saved = _Position(self._records, self._digest.hexdigest())
        new = self._file.with_name(self._file.name + ".new")
        try:
            new.unlink(missing_ok=True)
            # Create it exclusively: a symbolic link at this path could lead to another file.
            with new.open("xb") as stream:
                stream.write(msgspec.json.encode(saved))
            os.replace(new, self._file)
        except OSError as error:
            if self.saved:
                print_message(f"cannot save the progress to {self._file}: {error.strerror}")
            self.saved = False
        else:
            self.saved = True

    def delete(self) -> None:
        """Delete the file: the whole input is enqueued."""
        try:
            self._file.unlink(missing_ok=True)
        except OSError as error:
            print_message(
                f"all jobs are enqueued, but {self._file} cannot be deleted: {error.strerror}. "
                "Delete it yourself"
            )

    def _load(self) -> _Position | None:
        try:
            if self._file.is_symlink():
                raise ValueError("it is a symbolic link")
            return msgspec.json.decode(self._file.read_bytes(), type=_Position)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise UsageError(
                f"cannot read {self._file}, the progress of an interrupted run: {error}. "
                "Delete it to enqueue the whole input; jobs that are already completed run again"
            ) from error

    def _count(self, record: Record) -> None:
        self._digest.update(b"%d:" % len(record.text))
        self._digest.update(record.text)
        self._records += 1

    def _check(self, saved: _Position) -> None:
        if (self._records, self._digest.hexdigest()) != (saved.records, saved.digest):
            raise UsageError(
                f"{self._file} belongs to a run that was interrupted after {saved.records:,} jobs, "
                "with another input, queue, server or options: repeat that run, or delete the file"
            )
