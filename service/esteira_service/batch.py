"""Many jobs in one request: each for itself in chunks, or all or none in one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from esteira.client import Client
from esteira.encoding import encode
from esteira.errors import DatabaseUnavailable, EsteiraError, InvalidInput
from esteira.job import Warning  # noqa: A004 - the word of the interface
from esteira.new_job import Enqueued
from esteira_service.bodies import MAX_BYTES, parse
from esteira_service.intake import Intake, conflict, refused
from esteira_service.models import BatchItem, BatchView
from esteira_service.problems import InputError, Refusal, described, invalid, refusal_of
from esteira_service.requests import JobRequest
from esteira_service.skimming import Batch
from esteira_service.storing import MAX_CHARACTERS, MAX_JOBS, store

MAX_BATCH_BYTES = 64 << 20
DEADLINE_SECONDS = 60.0
# So many batches are in memory at once; the others wait, unread.
MAX_BATCHES = 2
_MAX_FAULTS = 100
_MAX_WARNINGS = 20


@dataclass(slots=True)
class _Item:
    """A job of the batch: what is wanted, or why it is refused, or what became of it."""

    place: int
    wanted: JobRequest | None = None
    refusal: Refusal | None = None
    enqueued: Enqueued | None = None

    def told(self) -> BatchItem:
        if self.refusal is not None:
            problem = described(_placed(self.refusal, self.place))
            return BatchItem(status=problem.status, problem=problem)
        assert self.enqueued is not None
        return BatchItem(status=202, id=self.enqueued.id, outcome=self.enqueued.outcome)


class BatchIntake:
    """Take the jobs of batches in."""

    def __init__(self, client: Client, intake: Intake) -> None:
        self.turn = asyncio.Semaphore(MAX_BATCHES)
        self._client = client
        self._intake = intake

    async def enqueue(self, body: bytes) -> BatchView:
        """Store the jobs of a batch. Raises Refusal where nothing is stored."""
        # In a thread: reading 64 MiB takes a second, in which others want their answers.
        batch = await asyncio.to_thread(Batch, body)
        assert batch.jobs is not None
        store_all = self._all_or_none if batch.atomic else self._each
        warnings: dict[str, Warning] = {}
        items = await store_all(body, batch.jobs, warnings)
        accepted = sum(item.status == 202 for item in items)
        shown = list(warnings.values())[:_MAX_WARNINGS]
        return BatchView(accepted=accepted, refused=len(items) - accepted, warnings=shown, items=items)

    async def _each(self, body: bytes, places: Sequence[slice], warnings: dict[str, Warning]) -> list[BatchItem]:
        told: list[BatchItem] = []
        away: Refusal | None = None
        for chunk in _chunks(places):
            items = [_Item(place) for place in chunk]
            try:
                if away is None:
                    await self._prepare(body, places, items)
                    await self._store(items)
                    self._warn(items, warnings)
            except DatabaseUnavailable as error:
                if not told:
                    raise
                # Those before are stored, and whoever asked has to know which.
                away = refusal_of(error)
            for item in items:
                if item.enqueued is None and item.refusal is None:
                    item.refusal = away
            told.extend(item.told() for item in items)
        return told

    async def _all_or_none(self, body: bytes, places: Sequence[slice], warnings: dict[str, Warning]) -> list[BatchItem]:
        items = [_Item(place) for place in range(len(places))]
        for chunk in _chunks(places):
            await self._prepare(body, places, [items[place] for place in chunk])
        _refuse_any(items, "jobs are valid")
        wanted = [(item, item.wanted) for item in items if item.wanted is not None]
        try:
            async with self._client.database.acquire() as connection, connection.transaction():
                found = await self._client.enqueue_each([one.new_job() for _, one in wanted], db=connection)
                for (item, one), enqueued in zip(wanted, found, strict=True):
                    _settle(item, one, enqueued)
                _refuse_any(
                    items, "The batch is atomic and not all of its keys are free, so none was stored: see errors."
                )
        except InvalidInput as error:
            raise _blamed(wanted, error) from None
        self._warn(items, warnings)
        return [item.told() for item in items]

    async def _prepare(self, body: bytes, places: Sequence[slice], items: Sequence[_Item]) -> None:
        """Read the jobs and check them against what is declared."""
        await asyncio.to_thread(_read, body, places, items)
        await self._intake.catalogue.refresh({item.wanted.task for item in items if item.wanted is not None})
        for item, wanted, faults in await asyncio.to_thread(self._check, items):
            if not await self._intake.is_repeated(wanted):
                item.refusal = invalid(faults)

    def _check(self, items: Sequence[_Item]) -> list[tuple[_Item, JobRequest, list[InputError]]]:
        found = []
        for item in items:
            if item.wanted is not None:
                faults = self._intake.faults(item.wanted)
                if faults:
                    found.append((item, item.wanted, faults))
                # As text, it takes a fraction of the memory.
                item.wanted.payload = encode(item.wanted.payload)
        return found

    async def _store(self, items: Sequence[_Item]) -> None:
        wanted = [(item, item.wanted) for item in items if item.wanted is not None and item.refusal is None]
        found = await store(self._client, [one.new_job() for _, one in wanted])
        for (item, one), became in zip(wanted, found, strict=True):
            _settle(item, one, became)

    def _warn(self, items: Sequence[_Item], warnings: dict[str, Warning]) -> None:
        catalogue = self._intake.catalogue
        lanes = {(item.wanted.task, item.wanted.queue) for item in items if item.wanted and item.enqueued}
        for task, queue in sorted(lanes, key=str):
            declared = catalogue.get(task)
            for warning in catalogue.warnings(task, queue or (declared.queue if declared else "default")):
                warnings.setdefault(warning.detail, warning)


def _chunks(places: Sequence[slice]) -> Iterator[range]:
    """Cut the batch into what one statement stores."""
    begin = size = 0
    for number, place in enumerate(places):
        size += place.stop - place.start
        if number > begin and (number - begin == MAX_JOBS or size > MAX_CHARACTERS):
            yield range(begin, number)
            begin, size = number, place.stop - place.start
    if begin < len(places):
        yield range(begin, len(places))


def _read(body: bytes, places: Sequence[slice], items: Sequence[_Item]) -> None:
    for item in items:
        place = places[item.place]
        if place.stop - place.start > MAX_BYTES:
            item.refusal = Refusal("PAYLOAD_TOO_LARGE", f"The job is larger than {MAX_BYTES >> 20} MiB.")
            continue
        try:
            item.wanted = parse(body[place], JobRequest)
        except Refusal as refusal:
            item.refusal = refusal


def _settle(item: _Item, wanted: JobRequest, became: Enqueued | EsteiraError) -> None:
    if isinstance(became, EsteiraError):
        item.refusal = refused(wanted, became)
    elif became.refused:
        item.refusal = conflict(wanted, became)
    else:
        item.enqueued = became


def _placed(refusal: Refusal, place: int) -> Refusal:
    """Point into the batch instead of into the job."""
    errors = refusal.errors and [
        InputError(pointer=f"/jobs/{place}{fault.pointer or ''}", detail=fault.detail) for fault in refusal.errors
    ]
    return Refusal(refusal.code, refusal.detail, errors=errors)


def _refuse_any(items: Sequence[_Item], what: str) -> None:
    """Refuse all where some are refused, and say which."""
    wrong = [(item.place, item.refusal) for item in items if item.refusal is not None]
    if not wrong:
        return
    codes = {refusal.code for _, refusal in wrong}
    faults = [
        fault
        for place, refusal in wrong[:_MAX_FAULTS]
        for fault in _placed(refusal, place).errors or [InputError(pointer=f"/jobs/{place}", detail=refusal.detail)]
    ]
    detail = f"The batch is atomic, and not all of its {what}, so none of them was stored: see errors."
    raise Refusal(codes.pop() if len(codes) == 1 else "INVALID_INPUT", detail, errors=faults[:_MAX_FAULTS])


def _blamed(wanted: Sequence[tuple[_Item, JobRequest]], error: InvalidInput) -> Refusal:
    """Find the job that the database refuses: it names what it refuses, not where it stands."""
    for item, one in wanted:
        refusal = refused(one, error)
        if refusal.errors and refusal.errors[0].pointer:
            return _placed(refusal, item.place)
    return invalid([InputError(pointer="/jobs", detail=str(error))])
