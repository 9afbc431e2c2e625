from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import orjson
import pytest

from esteira.running import Claimed
from esteira_worker.endings import Completed, Ending, Failed, Lost, Settled, Snoozed
from esteira_worker.messages import claimed_fields, claimed_from, ending_from, ending_message


@pytest.mark.parametrize(
    "ending",
    [
        Completed("[1]"),
        Completed("null", "too large"),
        Failed("{}", "Traceback", retryable=False, outcome="timed_out"),
        Snoozed(timedelta(minutes=1.5)),
        Settled(),
        Lost(),
    ],
)
def test_an_ending_crosses_to_another_process_and_stays_what_it_is(ending: Ending) -> None:
    assert ending_from(orjson.loads(orjson.dumps(ending_message(ending)))) == ending


def test_a_job_crosses_to_another_process_and_stays_what_it_is() -> None:
    job = Claimed(UUID(int=7), 2, "q", "t", '{"n": 123456789012345678901234567890}', 1, 0, 2.5)
    assert claimed_from(orjson.loads(orjson.dumps({"kind": "run", **claimed_fields(job)}))) == job
