"""Between a request and its job: checks against what is declared, the insert, and what became of it."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from esteira import queries
from esteira.client import Client
from esteira.errors import EsteiraError, InvalidInput, JobNotFound, KeyInFlight
from esteira.job import Job, Warning  # noqa: A004 - the word of the interface
from esteira.new_job import Enqueued, too_late
from esteira.operations import PATIENCE_SECONDS
from esteira_service.catalogue import Catalogue
from esteira_service.coalescer import Coalescer
from esteira_service.models import JobView
from esteira_service.problems import InputError, Refusal, invalid, refusal_of
from esteira_service.requests import JobRequest
from esteira_service.turns import Turns

_TOLD = {
    "existing": ("UNIQUE_KEY_EXISTS", "A live job of the task has the unique key: this is it, as it is."),
    "replaced": (
        "UNIQUE_KEY_REPLACED",
        "A live job had the unique key and had not begun: it keeps its id and has all else from this.",
    ),
    "replayed": (
        "IDEMPOTENCY_REPLAYED",
        "The idempotency key was used for the same request before: this is its job, as it is now.",
    ),
}


class Intake:
    """Take jobs in, one at a time, for all requests of the process."""

    def __init__(self, client: Client) -> None:
        self.catalogue = Catalogue(client)
        self._client = client
        self._coalescer = Coalescer(client)
        self._turns = Turns()

    async def close(self) -> None:
        """Wait until what has arrived is stored."""
        await self._coalescer.close()

    async def enqueue(self, wanted: JobRequest) -> tuple[Enqueued, JobView]:
        """Store the job; returns after the commit what became of it, and how it is shown.

        The warnings of this answer are left to the caller. Raises Refusal where it is not stored.
        """
        await self.catalogue.refresh((wanted.task,))
        faults = self.faults(wanted)
        if faults and not await self.is_repeated(wanted):
            raise invalid(faults)
        try:
            enqueued, view = await self._store(wanted)
        except (InvalidInput, KeyInFlight) as error:
            raise refused(wanted, error) from None
        if enqueued.refused:
            raise conflict(wanted, enqueued)
        if view is None:
            view = JobView.of(await self._read(enqueued))
        if is_new(enqueued):
            view.payload = wanted.payload
        return enqueued, view

    def faults(self, wanted: JobRequest) -> list[InputError]:
        """Return what is wrong with a request here and now, though it might be in order elsewhere or another time."""
        return [
            *self.catalogue.payload_faults(wanted.task, wanted.payload),
            *_too_late(wanted),
            *self._without_key(wanted),
        ]

    async def is_repeated(self, wanted: JobRequest) -> bool:
        """Tell whether its idempotency key is known: then it is answered as before, however things are now."""
        if wanted.idempotency_key is None:
            return False
        known: bool = await self._client.database.fetchval(
            queries.KEY_IS_KNOWN, wanted.idempotency_key, patience=PATIENCE_SECONDS
        )
        return known

    def warnings(self, enqueued: Enqueued, job: Job) -> list[Warning]:
        """Return what a person should know of this answer."""
        told = [] if enqueued.outcome == "enqueued" else [outcome_warning(enqueued)]
        return [*job.warnings, *told, *([] if job.done else self.catalogue.warnings(job.task, job.queue))]

    def _has_key(self, wanted: JobRequest) -> bool:
        if wanted.unique_key is not None or wanted.idempotency_key is not None:
            return True
        declared = self.catalogue.get(wanted.task)
        return declared is not None and declared.is_unique

    def _without_key(self, wanted: JobRequest) -> list[InputError]:
        declared = self.catalogue.get(wanted.task)
        if wanted.on_conflict is None or wanted.unique_key is not None or (declared and declared.is_unique):
            return []
        return [InputError(pointer="/on_conflict", detail="give a unique_key as well: the task declares none")]

    async def _store(self, wanted: JobRequest) -> tuple[Enqueued, JobView | None]:
        new = wanted.new_job()
        if not self._has_key(wanted):
            stored = await self._coalescer.enqueue(new)
            # Of one that was there before, the payload is to be shown as well; and a view is one request's alone.
            return stored.enqueued, stored.view if stored.enqueued.outcome == "enqueued" else None
        # By itself: a key that another transaction holds is waited for, and that must delay nobody else.
        async with self._turns.turn(new):
            [enqueued] = await self._client.enqueue_each([new])
        return enqueued, None

    async def _read(self, enqueued: Enqueued) -> Job:
        try:
            return await self._client.get(enqueued.id)
        except JobNotFound as error:
            if enqueued.outcome != "replayed":
                raise
            raise Refusal("JOB_GONE", f"The first request with this idempotency key was answered: {error}.") from None


def is_new(enqueued: Enqueued) -> bool:
    """Tell whether the job is as the request has it."""
    return enqueued.outcome in ("enqueued", "replaced")


def outcome_warning(enqueued: Enqueued) -> Warning:
    """Say that the job is not simply a new one."""
    code, detail = _TOLD[enqueued.outcome]
    return Warning(code=code, detail=detail)


def conflict(wanted: JobRequest, enqueued: Enqueued) -> Refusal:
    """Say which job is in the way of a request that is refused for its key."""
    location = {"Location": f"/v1/jobs/{enqueued.id}"}
    if enqueued.outcome == "idempotency_mismatch":
        detail = f"The idempotency key was used for another request, answered by job {enqueued.id}; take a new key."
        fault = InputError(pointer="/idempotency_key", detail="it was used for another request")
        return Refusal("IDEMPOTENCY_MISMATCH", detail, errors=[fault], headers=location)
    begun = " and has begun, so it cannot be replaced" if wanted.on_conflict == "replace" else ""
    detail = f"Job {enqueued.id} of the task {wanted.task} is live and has the unique key{begun}."
    return Refusal("UNIQUE_CONFLICT", detail, errors=[_at_unique_key(wanted, enqueued.id)], headers=location)


def refused(wanted: JobRequest, error: EsteiraError) -> Refusal:
    """Say in HTTP why this very job is not stored."""
    if isinstance(error, KeyInFlight) and wanted.idempotency_key is None:
        return Refusal("UNIQUE_IN_FLIGHT", str(error))
    if not isinstance(error, InvalidInput):
        return refusal_of(error)
    names = {"/task": wanted.task, "/queue": wanted.queue}
    pointer = next((pointer for pointer, name in names.items() if str(error).startswith(f'"{name}" is no name')), "")
    return invalid([InputError(pointer=pointer, detail=str(error))])


def _at_unique_key(wanted: JobRequest, job_id: UUID) -> InputError:
    pointer = "/payload" if wanted.unique_key is None else "/unique_key"
    return InputError(pointer=pointer, detail=f"job {job_id} has it")


def _too_late(wanted: JobRequest) -> list[InputError]:
    delay = None if wanted.delay_seconds is None else timedelta(seconds=wanted.delay_seconds)
    why = too_late(wanted.expires_at, wanted.run_at, delay)
    return [] if why is None else [InputError(pointer="/expires_at", detail=why)]
