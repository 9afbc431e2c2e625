from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from esteira import App, InvalidInput, NewJob, RetryChange
from esteira.new_job import enqueue_statement

if TYPE_CHECKING:
    from esteira import Client
    from tests.unit.conftest import Belt

SOON = datetime.now(UTC) + timedelta(days=1)
PAST = datetime.now(UTC) - timedelta(minutes=5)


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"tags": "mail"}, r"is a word, not a list of them: write tags=\['mail'\]"),
        ({"metadata": "x"}, "metadata='x' is no object"),
        ({"retry": {"attempts": 2}}, r"is to be a RetryChange or a Retry, as in RetryChange\(attempts=2\)"),
        ({"delay": "5 bananas"}, 'delay: "5 bananas" is not a duration: write 30s'),
        ({"timeout": "soon"}, 'timeout: "soon" is not a duration'),
        ({"delay": "5m", "run_at": SOON}, "give delay or run_at, not both"),
        ({"expires_at": PAST}, "expires_at: it is past: the job would never begin"),
        ({"expires_at": SOON, "run_at": SOON}, "expires_at: the job may not begin before then"),
        ({"expires_at": SOON, "delay": "25h"}, "expires_at: the job may not begin before then"),
        ({"expires_at": SOON, "run_at": SOON, "idempotency_key": "k"}, "expires_at: the job may not begin before then"),
        ({"run_at": datetime(2100, 1, 1)}, "run_at has no time zone"),  # noqa: DTZ001 - that is the point
    ],
)
def test_what_makes_no_sense_is_refused_by_a_sentence(options: dict[str, Any], hint: str) -> None:
    with pytest.raises(InvalidInput, match=hint):
        NewJob("t", **options)


@pytest.mark.parametrize(
    "options", [{"expires_at": PAST}, {"expires_at": SOON, "delay": "25h"}, {"retry": RetryChange(attempts=2)}]
)
def test_a_request_that_may_have_been_answered_is_sent_again_as_it_was(options: dict[str, Any]) -> None:
    assert NewJob("t", idempotency_key="k", **options).idempotency_key == "k"


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"prioirty": "high"}, 'enqueue has no option "prioirty": did you mean "priority"?'),
        ({"colour": "red"}, 'enqueue has no option "colour": there are queue, priority, delay'),
        ({"url": "u"}, r'"url" is a field of the payload, which is one argument: enqueue\(\{"url": …\}\)'),
    ],
)
def test_an_unknown_option_is_told_what_was_meant(options: dict[str, Any], hint: str) -> None:
    @App("shop").task()
    def fetch(url: str) -> None: ...

    with pytest.raises(InvalidInput, match=hint):
        fetch.new_job(**options)


async def test_an_option_of_a_task_by_its_name_is_checked_as_well(client: Client) -> None:
    with pytest.raises(InvalidInput, match='did you mean "tags"'):
        await client.enqueue("t", tag="mail")


async def test_only_jobs_can_be_enqueued(client: Client) -> None:
    with pytest.raises(InvalidInput, match=r"\{'task': 't'\} is no job: give NewJob"):
        await client.enqueue_many([{"task": "t"}])  # type: ignore[list-item]


@pytest.mark.parametrize("verb", ["get", "cancel", "retry", "discard", "explain", "steps", "edit", "wait"])
async def test_what_is_no_id_is_refused_before_the_database_is_asked(client: Client, verb: str) -> None:
    with pytest.raises(InvalidInput, match="'hello' is no job's id: that is a UUID"):
        await getattr(client, verb)("hello")


async def test_an_id_may_be_text(client: Client, belt: Belt) -> None:
    job = belt.running()
    assert (await client.get(str(job.id))).id == job.id  # type: ignore[arg-type]


async def test_on_conflict_needs_a_key_to_be_about(client: Client, belt: Belt) -> None:
    with pytest.raises(InvalidInput, match='on_conflict: give a unique_key as well: the task "t" declares none'):
        await client.enqueue("t", on_conflict="replace")
    assert belt.value("select count(*) from esteira.job") == 0
    await client.enqueue("t", unique_key="k", on_conflict="replace")
    belt.connection.execute(
        "select esteira.register(%s, 'h', 1, '0', null, 1, 1,"
        """ '[{"name": "t", "version": 1, "queue": "default", "priority": "normal", "max_attempts": 3,"""
        """ "retry_first_seconds": 5, "retry_max_seconds": 9, "timeout_seconds": 9, "executor": "async", "steps": [],"""
        """ "payload_schema": {}, "unique_fields": ["id"], "unique_on_conflict": "reject"}]')""",
        (belt.worker,),
    )
    first = await client.enqueue("t", {"id": 1}, on_conflict="return")
    assert (await client.enqueue("t", {"id": 1}, on_conflict="return")).id == first.id


async def test_a_request_that_was_answered_is_not_refused_later(client: Client, belt: Belt) -> None:
    belt.connection.execute(
        "insert into esteira.idempotency_key values ('k', '', '0197c1d2-5b7e-7cc3-98c4-dc0c0c07398f', esteira.now())"
    )
    with pytest.raises(Exception, match="idempotency key"):
        await client.enqueue("t", on_conflict="replace", idempotency_key="k")


def test_the_statement_of_one_job_has_what_is_given() -> None:
    plain, values = enqueue_statement([NewJob("t", {"n": 1})], atomic=True)
    assert (plain.count("=>"), values) == (2, ("t", '{"n":1}'))
    options, values = enqueue_statement([NewJob("t", None, tags=["a"], unique_key="k")], atomic=False, notify=True)
    assert "tags => $3::text::jsonb, unique_key => $4::text, atomic => $5::boolean, notify => $6::boolean)" in options
    assert values == ("t", "null", '["a"]', "k", False, True)
