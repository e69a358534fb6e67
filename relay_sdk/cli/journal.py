"""How far an enqueue came, kept beside its input, so that the next run goes on from there.

The server forgets a job when it is done, so ids alone would not keep a second run from enqueueing
such a job again.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path

import msgspec

from relay_sdk.cli.outcome import Mistake
from relay_sdk.cli.output import say
from relay_sdk.cli.records import Record


class _Place(msgspec.Struct):
    records: int
    digest: str


class Journal:
    """The place in one input. `settings` are what must be the same in the run that goes on."""

    def __init__(self, source: Path, settings: Sequence[object]) -> None:
        # A second way to this file would have a second journal.
        real = source.resolve()
        self._file = real.with_name(real.name + ".relay-enqueue")
        self._digest = blake2b(repr(settings).encode(), digest_size=16)
        self._records = 0
        self.kept: bool = True
        """Whether the place could be written the last time."""

    def skip(self, records: Iterable[Record]) -> Iterator[Record]:
        """Leave out the records of an interrupted run; `Mistake` when this is not its input."""
        place = self._load()
        for record in records:
            if place is None:
                yield record
                continue
            self._count(record)
            if self._records == place.records:
                self._check(place)
                say(f"going on after {place.records:,} jobs that an earlier run has enqueued")
                place = None
        if place is not None:
            self._check(place)

    def passed(self, records: Iterable[Record]) -> None:
        """Keep that the server has these too."""
        for record in records:
            self._count(record)
        place = _Place(self._records, self._digest.hexdigest())
        new = self._file.with_name(self._file.name + ".new")
        try:
            new.unlink(missing_ok=True)
            # Made anew: a link that someone has put there would lead to another file.
            with new.open("xb") as stream:
                stream.write(msgspec.json.encode(place))
            os.replace(new, self._file)
        except OSError as error:
            if self.kept:
                say(f"cannot keep the place in {self._file}: {error.strerror}")
            self.kept = False
        else:
            self.kept = True

    def end(self) -> None:
        """Forget the place: all is enqueued."""
        try:
            self._file.unlink(missing_ok=True)
        except OSError as error:
            say(f"all is enqueued, but {self._file} cannot be deleted: {error.strerror}. Delete it")

    def _load(self) -> _Place | None:
        try:
            if self._file.is_symlink():
                raise ValueError("it is a symbolic link")
            return msgspec.json.decode(self._file.read_bytes(), type=_Place)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise Mistake(
                f"cannot read {self._file}, which says how far an interrupted run came: {error}. "
                "Delete it to enqueue the whole input; jobs that are done then run again"
            ) from error

    def _count(self, record: Record) -> None:
        self._digest.update(b"%d:" % len(record.text))
        self._digest.update(record.text)
        self._records += 1

    def _check(self, place: _Place) -> None:
        if (self._records, self._digest.hexdigest()) != (place.records, place.digest):
            raise Mistake(
                f"{self._file} is of a run that was interrupted after {place.records:,} jobs, with "
                "another input, queue, server or options: repeat that one, or delete the file"
            )
