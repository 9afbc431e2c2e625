from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    Esteira = Callable[..., Any]
    Psql = Callable[..., str]

ONE = "select queue, task, priority, payload, max_attempts, timeout_seconds, run_at from esteira.jobs"


@pytest.mark.usefixtures("worker")
def test_enqueue_prints_the_id_and_nothing_else(esteira: Esteira, psql: Psql) -> None:
    answer = esteira("enqueue", "t", '{"order": 7}')
    assert (answer.code, answer.err) == (0, "")
    assert psql("select id, task, payload ->> 'order' from esteira.jobs") == f"{UUID(answer.out.strip())}|t|7"


def test_a_task_that_no_worker_has_declared_is_warned_of(esteira: Esteira) -> None:
    answer = esteira("enqueue", "shop.bill")
    assert answer.code == 0
    assert UUID(answer.out.strip())
    assert "no worker has declared the task shop.bill yet" in answer.err
    answer = esteira("enqueue", "shop.bill", "--json")
    assert [warning["code"] for warning in answer.json["warnings"]] == ["TASK_UNKNOWN"]
    assert len(answer.err.splitlines()) == 1


def test_wait_says_once_why_a_job_does_not_begin(start_esteira: Callable[..., Any], psql: Psql) -> None:
    with start_esteira("enqueue", "t", "--wait") as process:
        job = process.stdout.readline().strip()
        assert "no worker has declared the task t yet" in process.stderr.readline()
        assert f"job {job} has not begun: " in process.stderr.readline()
        psql(f"select esteira.cancel('{job}')")
        assert process.wait(20) == 6
        assert process.stderr.read().startswith(f"esteira: job {job} was cancelled: `esteira retry {job}`")


def test_enqueue_hands_every_option_on(esteira: Esteira, psql: Psql) -> None:
    options = ("--queue", "bills", "--priority", "high", "--max-attempts", 5, "--timeout", "2m")
    esteira("enqueue", "shop.bill", *options, "--run-at", "2130-01-31T09:00+02:00")
    assert psql(f"set timezone = 'UTC'; {ONE}") == "bills|shop.bill|high|{}|5|120|2130-01-31 07:00:00+00"


def test_other_attempts_leave_the_backoff_to_the_task(esteira: Esteira, psql: Psql) -> None:
    esteira("enqueue", "t", "--max-attempts", 2)
    changed = "max_attempts, retry_first_seconds is null, retry_max_seconds is null"
    assert psql(f"select {changed} from esteira.job_live") == "2|t|t"


def test_tags_metadata_and_keys_are_handed_on(esteira: Esteira, psql: Psql) -> None:
    options = ("--tag", "a,b", "--tag", "c", "--metadata", '{"customer": 7}', "--unique-key", "k")
    esteira("enqueue", "t", *options, "--expires-at", "2130-01-31T09:00Z")
    columns = "tags, metadata, unique_key, expires_at"
    assert psql(f"set timezone = 'UTC'; select {columns} from esteira.jobs") == (
        '{a,b,c}|{"customer": 7}|k|2130-01-31 09:00:00+00'
    )


def test_an_expiry_counts_from_now(esteira: Esteira, psql: Psql) -> None:
    esteira("enqueue", "t", "--expires-in", "1h")
    assert psql("select expires_at - created_at between '59 min' and '61 min' from esteira.jobs") == "t"


def test_a_live_job_with_the_unique_key_is_the_answer_is_replaced_or_is_in_the_way(esteira: Esteira) -> None:
    keyed = ("enqueue", "t", "--unique-key", "k")
    job = esteira(*keyed).out.strip()
    assert esteira(*keyed, "--on-conflict", "return").out.strip() == job
    assert esteira(*keyed, "--on-conflict", "replace", "--queue", "q", "--json").json["queue"] == "q"
    answer = esteira(*keyed, "--on-conflict", "reject")
    assert (answer.code, answer.out) == (8, "")
    assert f"`esteira status {job}` shows it" in answer.err


def test_an_idempotency_key_answers_the_same_request_and_refuses_another(esteira: Esteira) -> None:
    keyed = ("enqueue", "t", "--idempotency-key", "1f6c9d1e-7c4e-4a0f-9a53-c4f4f0f9a111")
    job = esteira(*keyed).out.strip()
    assert esteira(*keyed).out.strip() == job
    answer = esteira(*keyed, "--priority", "high")
    assert (answer.code, answer.out) == (8, "")
    assert f"`esteira status {job}` shows it" in answer.err


def test_a_delay_counts_from_now(esteira: Esteira, psql: Psql) -> None:
    esteira("enqueue", "t", "--delay", "1h30m")
    assert psql("select run_at - created_at from esteira.jobs") == "01:30:00"


def test_the_payload_comes_from_stdin_and_keeps_every_digit(esteira: Esteira, psql: Psql) -> None:
    huge = "9" * 500
    esteira("enqueue", "t", "-", stdin=f'{{"number": {huge}}}')
    assert psql("select payload ->> 'number' from esteira.jobs") == huge


@pytest.mark.parametrize("payload", ["null", "[1]", '"text"', "0"])
def test_a_payload_of_any_kind_arrives_as_it_is(esteira: Esteira, psql: Psql, payload: str) -> None:
    esteira("enqueue", "t", payload)
    assert psql("select payload from esteira.jobs") == payload


def test_with_json_the_whole_job_is_printed(esteira: Esteira) -> None:
    job = esteira("enqueue", "t", '{"a": [1.5, null]}', "--json").json
    assert (job["status"], job["payload"], job["max_attempts"]) == ("queued", {"a": [1.5, None]}, 3)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["t", "{a: 1}"], "the payload is not JSON"),
        (["t", "NaN"], "the payload is not JSON"),
        (["t", '"\\u0000"'], "NUL"),
        (["t", "--delay", "soon"], '"soon" is not a duration'),
        (["t", "--run-at", "2130-01-31T09:00"], "names no time zone"),
        (["t", "--run-at", "tomorrow"], '"tomorrow" is not a time'),
        (["t", "--priority", "urgent"], "urgent"),
        (["t", "--max-attempts", "0"], "--max-attempts"),
        (["no task"], "task"),
        (["t", "--metadata", "[1]"], "the metadata is no JSON object"),
        (["t", "--expires-in", "1h", "--expires-at", "2130-01-31T09:00Z"], "one of them"),
        (["t", "--expires-in", "1h", "--idempotency-key", "k"], "say --expires-at"),
    ],
)
def test_what_makes_no_sense_is_refused_and_stores_nothing(
    esteira: Esteira, psql: Psql, arguments: list[str], said: str
) -> None:
    answer = esteira("enqueue", *arguments)
    assert (answer.code, answer.out) == (2, "")
    assert said in answer.err
    assert psql("select count(*) from esteira.jobs") == "0"


def test_wait_prints_the_result_below_the_id(esteira: Esteira, worker: Any) -> None:
    thread = worker.serve_one(lambda job: worker.complete(job, {"total": 10**30, "word": "ação"}))
    answer = esteira("enqueue", "t", "--wait")
    thread.join()
    job_id, result = answer.out.splitlines()
    assert UUID(job_id)
    assert json.loads(result) == {"total": 10**30, "word": "ação"}
    assert (answer.code, answer.err) == (0, "")


def test_wait_for_a_job_that_dies_ends_with_its_error(esteira: Esteira, worker: Any) -> None:
    thread = worker.serve_one(lambda job: worker.fail(job, "the card was refused"))
    answer = esteira("enqueue", "t", "--wait")
    thread.join()
    assert answer.code == 1
    assert "ValueError: the card was refused" in answer.err
    assert len(answer.out.splitlines()) == 1


def test_wait_for_a_job_that_is_cancelled_says_so(esteira: Esteira, worker: Any) -> None:
    thread = worker.serve_one(worker.cancel)
    answer = esteira("enqueue", "t", "--wait", "--json")
    thread.join()
    assert answer.code == 6
    assert "was cancelled" in answer.err
    assert answer.json["status"] == "cancelled"
