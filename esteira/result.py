"""What a finished job gives back."""

from __future__ import annotations

from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from esteira.encoding import encode
from esteira.errors import InvalidInput, JobCancelled, JobFailed
from esteira.job import Job
from esteira.misfit import misfit

R = TypeVar("R")


def result_of(job: Job, returns: TypeAdapter[R]) -> R:
    """Return the result in the type that its task declares.

    Raises TimeoutError for a job that has not ended, JobFailed, JobCancelled, and InvalidInput where the result was
    not stored or is not of that type.
    """
    if job.status == "dead":
        raise JobFailed(job)
    if job.status == "cancelled":
        raise JobCancelled(job)
    if job.status != "completed":
        raise TimeoutError(f"job {job.id} is still {job.status}")
    try:
        return returns.validate_json(encode(job.result))
    except ValidationError as error:
        why = "; ".join(warning.detail for warning in job.warnings) or misfit(error)
        raise InvalidInput(f"job {job.id} has no result of the type that its task declares: {why}") from None
