from __future__ import annotations

import json
import signal
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from esteira.cli.tables import jobs_view
from esteira.job import Job

if TYPE_CHECKING:
    from collections.abc import Callable

    Esteira = Callable[..., Any]
    Psql = Callable[..., str]


def ids(answer: Any) -> list[str]:
    return [job["id"] for job in answer.json]


def test_jobs_are_listed_the_newest_first(esteira: Esteira) -> None:
    enqueued = [esteira("enqueue", "t").out.strip() for _ in range(3)]
    assert ids(esteira("jobs", "--json")) == enqueued[::-1]
    assert ids(esteira("jobs", "--json", "--limit", 2)) == enqueued[:0:-1]


def test_jobs_are_filtered_by_status_queue_and_task(esteira: Esteira, worker: Any) -> None:
    dead = worker.running()
    worker.fail(dead)
    other = esteira("enqueue", "other", "--queue", "slow").out.strip()
    assert ids(esteira("jobs", "--status", "dead", "--json")) == [str(dead)]
    assert ids(esteira("jobs", "--status", "queued,running", "--status", "waiting", "--json")) == [other]
    assert ids(esteira("jobs", "--queue", "slow", "--json")) == [other]
    assert ids(esteira("jobs", "--task", "t", "--json")) == [str(dead)]
    assert ids(esteira("jobs", "--task", "t", "--queue", "slow", "--json")) == []


def test_jobs_are_filtered_by_tag_metadata_time_and_worker(esteira: Esteira, worker: Any) -> None:
    running = str(worker.running())
    marked = esteira("enqueue", "t", "--tag", "a,b", "--metadata", '{"customer": 7}').out.strip()
    assert ids(esteira("jobs", "--tag", "a", "--tag", "b", "--json")) == [marked]
    assert ids(esteira("jobs", "--tag", "a,c", "--json")) == []
    assert ids(esteira("jobs", "--metadata", "customer=7", "--json")) == [marked]
    assert ids(esteira("jobs", "--worker", worker.id, "--json")) == [running]
    assert ids(esteira("jobs", "--created-before", "1h", "--json")) == []
    assert ids(esteira("jobs", "--created-after", "1h", "--sort", "created_at", "--json")) == [running, marked]


def test_jobs_are_counted(esteira: Esteira) -> None:
    for queue in ("a", "a", "b"):
        esteira("enqueue", "t", "--queue", queue)
    assert esteira("jobs", "--queue", "a", "--count", "--limit", 1).out == "2\n"
    assert esteira("jobs", "--count", "--json").json == {"count": 3}


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--created-after", "soon", "soon"),
        ("--created-after", "2030-99-01", "2030-99-01"),
        ("--metadata", "x", "KEY=VALUE"),
    ],
)
def test_a_filter_that_makes_no_sense_is_refused(esteira: Esteira, option: str, value: str, said: str) -> None:
    answer = esteira("jobs", option, value)
    assert (answer.code, answer.out) == (2, "")
    assert said in answer.err


def test_stuck_jobs_are_those_that_nobody_claims(esteira: Esteira, psql: Psql) -> None:
    old = esteira("enqueue", "t").out.strip()
    esteira("enqueue", "t")
    psql(f"update esteira.job_live set ready_at = ready_at - interval '1 h' where id = '{old}'")
    assert ids(esteira("jobs", "--stuck", "--json")) == [old]


def test_a_status_that_does_not_exist_is_refused_with_those_that_do(esteira: Esteira) -> None:
    answer = esteira("jobs", "--status", "failed")
    assert answer.code == 2
    assert "queued, running, waiting, completed, dead, cancelled" in answer.err


def test_a_list_has_no_payloads_and_results(esteira: Esteira) -> None:
    esteira("enqueue", "t", '{"secret": 1}')
    [job] = esteira("jobs", "--json").json
    assert not {"payload", "result"} & job.keys()


def test_a_wide_list_says_what_each_job_is_at(esteira: Esteira, worker: Any) -> None:
    dead, running = worker.running(), worker.running()
    worker.fail(dead, "no space\nleft")
    worker.progress(running, 0.5, "page 3", "render")
    later = esteira("enqueue", "t", "--delay", "2h").out.strip()
    lines = esteira("jobs").out.splitlines()[1:]
    rows = {line.split()[0]: line.rstrip() for line in lines}
    assert rows[later].endswith("in 1 h")
    assert "render: page 3" in rows[str(running)]
    assert "50%" in rows[str(running)]
    assert "ValueError: no space" in rows[str(dead)]
    assert len(lines) == 3


@pytest.mark.parametrize("columns", [60, 80, 109, 110])
def test_an_id_is_never_cut(esteira: Esteira, columns: int) -> None:
    esteira("enqueue", "a_task_with_a_name." * 5 + "x")
    job = Job(**esteira("jobs", "--json").json[0], payload=None, result=None)
    drawn = StringIO()
    Console(width=columns, file=drawn).print(jobs_view([job], columns))
    out = drawn.getvalue()
    assert str(job.id) in out
    assert max(map(len, out.splitlines())) <= columns


def test_an_empty_list_says_so(esteira: Esteira) -> None:
    assert esteira("jobs").out == "no such jobs\n"
    assert esteira("jobs", "--json").out == "[]\n"


def test_a_watched_list_prints_new_and_changed_jobs_until_it_is_interrupted(
    start_esteira: Callable[..., Any], esteira: Esteira, worker: Any
) -> None:
    first = worker.running()
    with start_esteira("jobs", "--watch", "--json") as process:
        seen = [json.loads(process.stdout.readline())]
        worker.complete(first)
        seen.append(json.loads(process.stdout.readline()))
        second = esteira("enqueue", "t").out.strip()
        seen.append(json.loads(process.stdout.readline()))
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        assert (process.stdout.read(), process.stderr.read()) == ("", "")
    assert [(job["id"], job["status"]) for job in seen] == [
        (str(first), "running"),
        (str(first), "completed"),
        (second, "queued"),
    ]


def test_explain_says_it_in_a_sentence_or_with_its_code(esteira: Esteira) -> None:
    job = esteira("enqueue", "t", "--queue", "lonely").out.strip()
    assert esteira("explain", job).out.startswith('No worker serves the queue "lonely".')
    assert esteira("explain", job, "--json").json["code"] == "no_worker"


def test_a_dead_job_is_explained_with_the_command_that_retries_it(esteira: Esteira, worker: Any) -> None:
    job = worker.running()
    worker.fail(job, "no MPEG-TS.")
    assert esteira("explain", job).out.endswith(
        f"ValueError: no MPEG-TS. `esteira retry {job}` gives it another life.\n"
    )


@pytest.mark.parametrize("option", ["--created-after", "--finished-before"])
def test_what_is_neither_a_time_nor_a_duration_is_answered_with_both(esteira: Esteira, option: str) -> None:
    answer = esteira("jobs", option, "yesterday")
    assert answer.code == 2
    assert answer.err == 'esteira: "yesterday" is no time: write 2030-01-31T09:00Z, or how long ago: 2h, 7d\n'
