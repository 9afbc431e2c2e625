"""The SQL and a small model of it, given the same random commands, say and become the same."""

from __future__ import annotations

import json
import os
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.sql.model.model import Job, Model, Refused

if TYPE_CHECKING:
    from collections.abc import Callable

START = datetime(2030, 1, 1, 12, tzinfo=UTC)
WORKERS = [UUID(int=1), UUID(int=2)]
TASKS, QUEUES, PRIORITIES = ["t", "u"], ["long", "short"], ["low", "normal", "high", "critical"]
LANES = [(queue, priority) for priority in (3, 2, 1, 0) for queue in QUEUES]
LOWEST = ("-infinity", UUID(int=0))
ERROR = json.dumps({"type": "T", "message": "m"})
DECLARED = json.dumps(
    [
        {
            "name": name,
            "version": 1,
            "queue": "long",
            "priority": "normal",
            "max_attempts": 3,
            "retry_first_seconds": 5,
            "retry_max_seconds": 60,
            "timeout_seconds": 60,
            "executor": "async",
            "steps": [],
            "payload_schema": {},
        }
        for name in TASKS
    ]
)
CLEAN = """
truncate esteira.job, esteira.step, esteira.attempt, esteira.activity, esteira.idempotency_key, esteira.worker,
    esteira.task;
update esteira.queue set paused_at = null, finished_kept_from = null;
update esteira.retention
set finished_kept_from = null, retained_at = '-infinity', walked_to = '00000000-0000-0000-0000-000000000000';
select esteira.set_retention('short', finished => '1 hour')"""
STORED = """
select id, task, queue, esteira.priority_number(priority), run_at, ready_at, max_attempts, expires_at,
       unique_key, status, reason, attempt, failures, crashes, generation,
       case when status = 'running' then worker_id end, progress, current_step,
       cancel_requested_at is not null, finished_at, tags,
       coalesce((select jsonb_object_agg(name, attempt) from esteira.step where job_id = id), '{}'),
       coalesce((select jsonb_object_agg(attempt, outcome) from esteira.attempt where job_id = id), '{}')
from esteira.jobs"""
STRAY = """
select (select count(*) from esteira.step where job_id not in (select id from esteira.job))
     + (select count(*) from esteira.attempt where job_id not in (select id from esteira.job))
     + (select count(*) from esteira.activity where job_id not in (select id from esteira.job_live))"""
THOROUGH = bool(os.environ.get("ESTEIRA_TEST_THOROUGH"))

pick = st.integers(0, 30)
late = st.sampled_from([0, 0, 0, 0, 1])
seconds = st.sampled_from([None, None, None, None, 0, 1, 30, 3600])
keys = st.sampled_from([None, None, "k", "l"])


class Machine(RuleBasedStateMachine):
    """Commands to both; `floors` is what an engine remembers of each lane."""

    connection: ClassVar[psycopg.Connection[Any]]
    steps: ClassVar[int] = 0
    reached: ClassVar[Counter[str]] = Counter()

    @initialize()
    def begin(self) -> None:
        self.model = Model(START)
        self.floors = dict.fromkeys(LANES, LOWEST)
        self.connection.execute(CLEAN)
        for worker in WORKERS:
            self.sql("select esteira.register(%s, 'h', 1, '0', null, 1, 1, %s)", worker, DECLARED)

    def sql(self, query: str, *arguments: Any) -> Any:
        row = self.connection.execute(query, arguments).fetchone()
        return row and row[0]

    def both(self, expected: Callable[[], Any], query: str, *arguments: Any) -> Any:
        """Ask both, and compare the answers or refusals."""
        self.tick()
        try:
            answer = self.sql(query, *arguments)
        except psycopg.Error as error:
            answer = error.sqlstate
        try:
            wanted = expected()
        except Refused as refused:
            wanted = str(refused)
        assert answer == wanted, f"{query} {arguments}: {answer}, not {wanted}"
        return answer

    def tick(self, pause: timedelta = timedelta(milliseconds=1)) -> None:
        """No two commands at one time: ready_at is to lie above every floor."""
        self.model.now += pause
        Machine.steps += 1
        self.sql("select set_config('esteira.fake_now', %s, false)", self.model.now.isoformat())

    def job(self, number: int) -> Job:
        jobs = list(self.model.jobs.values())
        running = [job for job in jobs if job.status == "running"]
        return (running or jobs)[number % len(running or jobs)] if number % 3 else jobs[number % len(jobs)]

    @rule(pause=st.sampled_from([1, 1, 5, 5, 60, 3600, 30000, 86400, 8 * 86400, 31 * 86400]))
    def wait(self, pause: int) -> None:
        self.tick(timedelta(seconds=pause))

    @rule(
        task=st.sampled_from(TASKS),
        queue=st.sampled_from(QUEUES),
        priority=st.sampled_from(PRIORITIES),
        delay=seconds,
        expires=seconds,
        max_attempts=st.sampled_from([None, 1]),
        key=keys,
        on_conflict=st.sampled_from([None, "return", "replace", "reject"]),
        idempotency_key=st.sampled_from([None, None, None, "i"]),
    )
    def enqueue(
        self, task: str, queue: str, priority: str, delay: int | None, expires: int | None, **named: Any
    ) -> None:
        named = {name: named[name] for name in ("max_attempts", "key", "on_conflict", "idempotency_key")}
        self.tick()
        now = self.model.now
        run_at = now + timedelta(seconds=delay or 0)
        expires_at = None if expires is None else START + timedelta(seconds=expires * 10)
        request = (task, queue, priority, delay, expires_at, *named.values())
        try:
            answer: Any = self.sql(
                "select esteira.enqueue(%s, queue => %s, priority => %s, delay => %s, expires_at => %s, "
                " max_attempts => %s, unique_key => %s, on_conflict => %s, idempotency_key => %s)",
                task,
                queue,
                priority,
                None if delay is None else timedelta(seconds=delay),
                expires_at,
                *named.values(),
            )
        except psycopg.Error as error:
            answer = error.sqlstate
        new = Job(
            answer if isinstance(answer, UUID) else UUID(int=0),
            task,
            queue,
            PRIORITIES.index(priority),
            run_at,
            run_at,
            max_attempts=named["max_attempts"] or 3,
            expires_at=expires_at,
            key=named["key"],
        )
        try:
            wanted: Any = self.model.enqueue(new, named["on_conflict"], named["idempotency_key"], request)
        except Refused as refused:
            wanted = str(refused)
        assert answer == wanted

    @rule(
        worker=st.sampled_from(WORKERS),
        wanted=st.integers(1, 4),
        tasks=st.sampled_from([TASKS, ["t"], []]),
        sweep=st.booleans(),
    )
    def claim(self, worker: UUID, wanted: int, tasks: list[str], *, sweep: bool) -> None:
        """Where the model has never heard of floors: nothing ready may lie below one."""
        floors = dict.fromkeys(LANES, LOWEST) if tasks != TASKS or sweep else self.floors
        self.tick()
        rows = self.connection.execute(
            "select id, attempt, queue, priority, ready_at from esteira.claim("
            "%s, 0, %s, %s, %s, %s::smallint[], %s::timestamptz[], %s) where id is not null order by ready_at, id",
            (
                worker,
                wanted,
                tasks,
                *map(list, zip(*LANES, strict=True)),
                *map(list, zip(*floors.values(), strict=True)),
            ),
        ).fetchall()
        assert {row[0] for row in rows} == set(self.model.claim(worker, wanted, tasks, LANES))
        assert all(row[1] == self.model.jobs[row[0]].attempt for row in rows)
        if tasks == TASKS and not sweep:
            for job, _, queue, priority, ready_at in rows:
                self.floors[queue, priority] = (ready_at.isoformat(), job)

    @precondition(lambda self: self.model.jobs)
    @rule(number=pick, late=late)
    def complete(self, number: int, late: int) -> None:
        job, attempt = self.job(number), self.job(number).attempt - late
        held = self.model.held(job.id, attempt)

        def expected() -> UUID | None:
            if held:
                self.model.complete(held)
            return held and held.id

        self.both(expected, "select esteira.complete(array[%s::uuid], array[%s], array['1']::jsonb[])", job.id, attempt)

    @precondition(lambda self: self.model.jobs)
    @rule(number=pick, late=late, retryable=st.booleans(), outcome=st.sampled_from(["failed", "timed_out"]))
    def fail(self, number: int, late: int, outcome: str, *, retryable: bool) -> None:
        job, attempt = self.job(number), self.job(number).attempt - late

        def expected() -> str | None:
            held = self.model.held(job.id, attempt)
            # The backoff is random: it is taken over where it is possible.
            run_at = self.sql("select run_at from esteira.job where id = %s", job.id)
            if held and run_at != held.run_at:
                assert self.model.now <= run_at <= self.model.now + timedelta(seconds=min(60, 5 * 2**held.failures))
            return held and self.model.fail(held, outcome, run_at, retryable=retryable)

        self.both(expected, "select esteira.fail(%s, %s, %s, null, %s, %s)", job.id, attempt, ERROR, retryable, outcome)

    @precondition(lambda self: self.model.jobs)
    @rule(number=pick, late=late, delay=st.sampled_from([0, 5, 3600]))
    def snooze(self, number: int, late: int, delay: int) -> None:
        job, attempt = self.job(number), self.job(number).attempt - late

        def expected() -> str | None:
            held = self.model.held(job.id, attempt)
            return held and self.model.put_back(held, "snoozed", self.model.now + timedelta(seconds=delay))

        self.both(expected, "select esteira.snooze(%s, %s, %s)", job.id, attempt, timedelta(seconds=delay))

    @precondition(lambda self: self.model.jobs)
    @rule(number=pick, late=late)
    def release(self, number: int, late: int) -> None:
        job, attempt = self.job(number), self.job(number).attempt - late

        def expected() -> int:
            held = self.model.held(job.id, attempt)
            return 1 if held and self.model.put_back(held, "released") else 0

        self.both(expected, "select esteira.release(array[%s::uuid], array[%s])", job.id, attempt)

    @precondition(lambda self: self.model.jobs)
    @rule(number=pick, late=late)
    def acknowledge_cancel(self, number: int, late: int) -> None:
        job, attempt = self.job(number), self.job(number).attempt - late

        def expected() -> str | None:
            held = self.model.held(job.id, attempt)
            return held and self.model.acknowledge_cancel(held)

        self.both(expected, "select esteira.acknowledge_cancel(%s, %s)", job.id, attempt)

    @precondition(lambda self: self.model.jobs)
    @rule(number=pick, late=late, share=st.sampled_from([None, 0.25, 0.5]), step=st.sampled_from([None, "a", "b"]))
    def progress(self, number: int, late: int, share: float | None, step: str | None) -> None:
        job, attempt = self.job(number), self.job(number).attempt - late

        def expected() -> bool:
            held = self.model.held(job.id, attempt)
            if held:
                held.progress, held.step = held.progress if share is None else share, step or held.step
            return held is not None

        self.both(expected, "select esteira.progress(%s, %s, %s::real, null, %s)", job.id, attempt, share, step)

    @precondition(lambda self: self.model.jobs)
    @rule(number=pick, late=late, share=st.sampled_from([None, 0.75]), name=st.sampled_from(["a", "b"]))
    def save_step(self, number: int, late: int, share: float | None, name: str) -> None:
        job, attempt = self.job(number), self.job(number).attempt - late

        def expected() -> bool:
            held = self.model.held(job.id, attempt)
            if not held or held.steps.get(name, attempt) != attempt:
                return False
            held.steps[name], held.step = attempt, name
            held.progress = held.progress if share is None else share
            return True

        self.both(
            expected, "select esteira.save_step(%s, %s, %s, '1', esteira.now(), %s::real)", job.id, attempt, name, share
        )

    @precondition(lambda self: self.model.jobs)
    @rule(number=pick, verb=st.sampled_from(["cancel", "cancel", "retry", "retry", "discard"]))
    def act(self, number: int, verb: str) -> None:
        job = self.job(number)
        self.both(lambda: getattr(self.model, verb)(job.id), f"select esteira.{verb}(%s)", job.id)

    @precondition(lambda self: self.model.jobs)
    @rule(
        number=pick,
        priority=st.sampled_from([None, None, *PRIORITIES]),
        queue=st.sampled_from([None, *QUEUES]),
        delay=st.sampled_from([None, -60, 60]),
    )
    def edit(self, number: int, priority: str | None, queue: str | None, delay: int | None) -> None:
        job, tags = self.job(number), [str(number)]
        run_at = None if delay is None else self.model.now + timedelta(seconds=delay)
        level = None if priority is None else PRIORITIES.index(priority)
        self.both(
            lambda: self.model.edit(job.id, level, queue, run_at, tags),
            "select esteira.edit(%s, %s, %s, %s, %s)",
            job.id,
            priority,
            queue,
            run_at,
            tags,
        )

    @rule(
        verb=st.sampled_from(["pause", *["resume"] * 5, "lose", "purge", "expire", "retain", "retain"]),
        number=st.integers(0, 3),
    )
    def operate(self, verb: str, number: int) -> None:
        """In one rule, since it ends what others begin: as rules of their own hardly a job came through."""
        getattr(self, verb)(number)

    def lose(self, number: int) -> None:
        worker = WORKERS[number % 2]
        if number < 2:
            self.both(lambda: self.model.lose(worker, "crashed"), "select esteira.crash(%s, 0, 'm')", worker)
        else:
            self.both(lambda: self.model.lose(worker, "lost"), "select esteira.rescue(%s)", worker)

    def pause(self, number: int) -> None:
        self.tick()
        if number < 2:
            self.sql("select esteira.pause(%s)", QUEUES[number])
            self.model.paused_queues.add(QUEUES[number])
        else:
            self.sql("select esteira.pause_task(%s)", TASKS[number - 2])
            self.model.paused_tasks.add(TASKS[number - 2])

    def resume(self, number: int) -> None:
        """Of a queue or of a task; the notification tells the engines to forget their floors."""
        self.tick()
        if number < 2:
            self.sql("select esteira.resume(%s)", QUEUES[number])
            self.model.paused_queues.discard(QUEUES[number])
        else:
            self.sql("select esteira.resume_task(%s)", TASKS[number - 2])
            self.model.paused_tasks.discard(TASKS[number - 2])
        self.floors = dict.fromkeys(LANES, LOWEST)

    def purge(self, number: int) -> None:
        queue = QUEUES[number % 2]
        self.both(lambda: self.model.purge(queue), "select esteira.purge(%s)", queue)

    def expire(self, _: int) -> None:
        self.both(self.model.expire, "select esteira.expire()")

    def retain(self, _: int) -> None:
        self.tick()
        days = "select count(*)::int from pg_inherits where inhparent = 'esteira.job_finished'::regclass"
        before = None
        while self.sql("select esteira.retain()") or self.sql(days) != before:
            before = self.sql(days)
        self.model.retain()

    @rule(worker=st.sampled_from(WORKERS))
    def claim_all(self, worker: UUID) -> None:
        self.claim(worker, 4, TASKS, sweep=False)

    @rule(worker=st.sampled_from(WORKERS))
    def heartbeat(self, worker: UUID) -> None:
        self.tick()
        row = self.connection.execute("select cancel_ids from esteira.heartbeat(%s)", (worker,)).fetchone()
        asked = {job.id for job in self.model.jobs.values() if job.worker == worker and job.cancel_asked}
        assert row is None or set(row[0]) == asked

    @invariant()
    def both_have_the_same_jobs(self) -> None:
        stored = {
            row[0]: Job(*row[:-1], attempts={int(attempt): outcome for attempt, outcome in row[-1].items()})
            for row in self.connection.execute(STORED)
        }
        assert stored == self.model.jobs
        self.reached.update({job.status for job in stored.values()})
        assert self.sql(STRAY) == 0


@pytest.mark.timeout(3600 if THOROUGH else 300)
def test_sql_does_what_the_model_does(database_url: str, record_property: Any) -> None:
    with psycopg.connect(
        database_url, autocommit=True, options="-c jit=off -c synchronous_commit=off -c timezone=UTC"
    ) as connection:
        Machine.connection = connection
        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=2000 if THOROUGH else 60,
                stateful_step_count=80,
                deadline=None,
                database=None,
                derandomize=not THOROUGH,
                suppress_health_check=list(HealthCheck),
                phases=[Phase.generate, Phase.shrink],
            ),
        )
    record_property("commands", Machine.steps)
    record_property("reached", str(Machine.reached))
    assert set(Machine.reached) == {"queued", "running", "completed", "dead", "cancelled"}
