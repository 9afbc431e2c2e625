-- Frozen from sql/ by scripts/freeze_migration.py. Do not edit.

-- Alembic needs schema and table before its first revision runs, so there they exist already.
create schema if not exists esteira;
comment on schema esteira is
'Esteira, a durable task queue. Start at the view esteira.jobs; \df+ esteira.* lists the verbs with what they do.';

-- The table that Alembic keeps its place in: install.sql stamps it as the migrations do.
create table if not exists esteira.alembic_version (
    version_num varchar(32) not null,
    constraint alembic_version_pkc primary key (version_num)
);
comment on table esteira.alembic_version is 'The version of this schema: the last migration that ran.';
comment on column esteira.alembic_version.version_num is 'As in the name of the migration''s file.';

-- The wall clock at the moment of the call, not now(), which is the start of the transaction and would let a long
-- one see the past. A test moves time with `set esteira.fake_now = '2030-01-01 00:00Z'`; each verb reads it once.
create function esteira.now() returns timestamptz
language sql volatile parallel safe
as $$
select coalesce(nullif(current_setting('esteira.fake_now', true), '')::timestamptz, clock_timestamp())
$$;
comment on function esteira.now() is 'The queue''s clock: clock_timestamp(), or the session''s fake clock (setting esteira.fake_now) in tests.';

-- Ids that sort by time, so that new rows land at the right edge of every index. PostgreSQL 18 brings them; before
-- that: 48 bits of milliseconds, the fraction of the millisecond in the next 12, the rest random (RFC 9562, method 3).
-- In order within a session; nothing may depend on the order across sessions.
do $do$
begin
    if current_setting('server_version_num')::int >= 180000 then
        create function esteira.uuid7() returns uuid
        language sql volatile parallel safe
        return uuidv7();
    else
        create function esteira.uuid7() returns uuid
        language sql volatile parallel safe
        as $$
        select encode(
            overlay(
                uuid_send(gen_random_uuid())
                placing substring(int8send(micros / 1000) from 3 for 6) || int2send((28672 + micros % 1000 * 4096 / 1000)::int2)
                from 1 for 8),
            'hex')::uuid
        from (select (extract(epoch from clock_timestamp()) * 1000000)::bigint) as clock(micros)
        $$;
    end if;
end
$do$;
comment on function esteira.uuid7() is 'A new UUID of version 7: time in front, so that ids sort by age.';

-- For looking along an index of ids: those made before the moment are smaller, those made from it on are not. What lies outside
-- of the times that an id can carry, 1970 to 10889, is at that end.
create function esteira.uuid7_at(moment timestamptz) returns uuid
language sql immutable strict parallel safe
as $$
select (lpad(to_hex(millis::bigint), 12, '0') || '70008000000000000000')::uuid
from least(greatest(floor(extract(epoch from moment) * 1000), 0), 281474976710655) as clock(millis)
$$;
comment on function esteira.uuid7_at(timestamptz) is 'The smallest UUID of version 7 that could be made at this moment.';

create function esteira.uuid7_time(id uuid) returns timestamptz
language sql immutable strict parallel safe
as $$
select case
    when get_byte(uuid_send(id), 6) / 16 = 7
    then to_timestamp(('x' || encode(substring(uuid_send(id) from 1 for 6), 'hex'))::bit(48)::bigint / 1000.0)
end
$$;
comment on function esteira.uuid7_time(uuid) is 'When a UUID of version 7 was made, to the millisecond; null for other versions.';

-- Lists are in the order of ids, and an id carries the time at which it was made, which is that of created_at but for the time
-- that a bulk insert takes: a minute is plenty. With these bounds a window of created_at is a range of the primary key; without
-- them a page of last week walks over all that was created since (1 s of 2,500,000 jobs). Under a fake clock ids go on carrying
-- the real time, so there the bounds bind nothing.
create function esteira.id_from(moment timestamptz) returns uuid
language sql stable strict parallel safe
as $$
select case
    when coalesce(current_setting('esteira.fake_now', true), '') = '' then esteira.uuid7_at(moment - interval '1 min')
    else '00000000-0000-0000-0000-000000000000'
end
$$;
comment on function esteira.id_from(timestamptz) is 'No job created at this moment or later has a smaller id.';

create function esteira.id_until(moment timestamptz) returns uuid
language sql stable strict parallel safe
as $$
select case
    when coalesce(current_setting('esteira.fake_now', true), '') = '' then esteira.uuid7_at(moment + interval '1 min')
    else 'ffffffff-ffff-ffff-ffff-ffffffffffff'
end
$$;
comment on function esteira.id_until(timestamptz) is 'Every job created before this moment has a smaller id.';

-- People say "high", indexes want a number: these two are the only places where the one becomes the other.
create function esteira.priority_number(name text) returns smallint
language plpgsql immutable strict parallel safe
as $$
declare
    number smallint := array_position(array['low', 'normal', 'high', 'critical'], name) - 1;
begin
    if number is null then
        raise exception 'priority must be low, normal, high or critical, not "%"', name using errcode = 'ES004';
    end if;
    return number;
end
$$;
comment on function esteira.priority_number(text) is 'low 0, normal 1, high 2, critical 3; anything else raises ES004.';

create function esteira.priority_name(number smallint) returns text
language sql immutable strict parallel safe
as $$
select (array['low', 'normal', 'high', 'critical'])[number + 1]
$$;
comment on function esteira.priority_name(smallint) is 'The name of a priority: 0 low, 1 normal, 2 high, 3 critical.';

-- The length apart: to count to a hundred, the expression alone took 10 µs instead of 2.
create function esteira.check_name(name text) returns void
language plpgsql immutable strict parallel safe
as $$
begin
    if length(name) > 100 or name collate "C" !~ '^[[:alnum:]_][[:alnum:]_.:/-]*$' then
        raise exception '"%" is no name: use 1 to 100 letters of ASCII, digits, and _ . : / -', name using errcode = 'ES004';
    end if;
end
$$;
comment on function esteira.check_name is 'Internal: raises ES004 for what cannot be the name of a task or queue.';

-- Full jitter (random over the whole interval) spreads a crowd of failures best:
-- https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
create function esteira.backoff(failures integer, first_seconds double precision, max_seconds double precision)
returns interval
language sql volatile parallel safe
as $$
select make_interval(secs => random() * least(max_seconds, first_seconds * 2 ^ least(failures - 1, 40), 365 * 86400))
$$;
comment on function esteira.backoff(integer, double precision, double precision) is
'How long to wait after the n-th failure: random between 0 and first × 2^(n-1), at most max or a year.';

-- What a single column may hold is a domain: it is checked where a value is written, so a claim or a settle, which writes few of
-- these, does not check the rest again. As constraints of the table they were planned anew by every statement and checked for
-- every row: 6 % of a claim and of a settle, 9 % of what enqueueing one job costs the server.
-- No regular expression, which is dear: enqueue_many checks the syntax of the names.
create domain esteira.queue_name as text constraint job_queue_is_short check (length(value) between 1 and 100);
create domain esteira.task_name as text constraint job_task_is_short check (length(value) between 1 and 100);
create domain esteira.priority_level as smallint constraint job_priority_is_0_to_3 check (value between 0 and 3);
-- Below a billion: what adds one to an integer at its end would fail, for all that it was to change.
create domain esteira.tally as integer constraint job_count_is_below_a_billion check (value >= 0 and value < 1000000000);
create domain esteira.attempts as integer constraint job_limits_are_positive check (value >= 1);
create domain esteira.backoff_seconds as double precision constraint job_limits_are_positive check (value >= 0);
-- NaN and infinity are positive, too, and a view that makes an interval of one would fail for all jobs: a century is enough.
create domain esteira.timeout_seconds as double precision constraint job_limits_are_positive check (value > 0 and value <= 3.2e9);
-- No program's calendar ends before that: a job of the year 10000, or of infinity, would break every list that it stands in.
-- (The other times are not for people to set.)
create domain esteira.due_time as timestamptz constraint job_runs_from_1970_to_2200
    check (value >= '1970-01-01 00:00Z' and value < '2201-01-02 00:00Z');
create domain esteira.job_key as text constraint job_unique_key_is_short check (length(value) between 1 and 200);
create domain esteira.share as real constraint job_progress_is_a_share check (value between 0 and 1);
create domain esteira.json_object as jsonb constraint job_metadata_is_an_object check (jsonb_typeof(value) = 'object');
create domain esteira.job_error as jsonb constraint job_error_has_type_and_message check (
    value is null
    or coalesce(jsonb_typeof(value -> 'type') = 'string' and jsonb_typeof(value -> 'message') = 'string', false));

-- One table to everybody who queries it, three kinds of partition underneath:
--   job_live      queued, running, waiting: small whatever the history, so that claims stay fast
--   job_dead      the dead letter: stays until retried or discarded
--   job_finished  completed, cancelled: one partition a day, so that forgetting a day is a DROP
--
-- A job changes partition by DELETE … RETURNING + INSERT in one statement, never by UPDATE of status: whoever waits
-- on a row that an UPDATE moved away gets SQLSTATE 40001, which would abort a whole batch. After a DELETE they see
-- no row and read again. There is no default partition: with one, attaching a day would lock out every settle.
create table esteira.job (
    id                  uuid not null default esteira.uuid7(),
    queue               esteira.queue_name not null,
    task                esteira.task_name not null,
    priority            esteira.priority_level not null default 1,
    status              text not null default 'queued',
    reason              text,
    attempt             esteira.tally not null default 0,
    failures            esteira.tally not null default 0,
    crashes             esteira.tally not null default 0,
    generation          integer not null default 1,
    max_attempts        esteira.attempts,
    engine              integer,
    worker_id           uuid,
    retry_first_seconds esteira.backoff_seconds,
    retry_max_seconds   esteira.backoff_seconds,
    timeout_seconds     esteira.timeout_seconds,
    created_at          timestamptz not null default esteira.now(),
    updated_at          timestamptz not null default esteira.now(),
    run_at              esteira.due_time not null default esteira.now(),
    ready_at            esteira.due_time not null default esteira.now(),
    expires_at          esteira.due_time,
    started_at          timestamptz,
    finished_at         timestamptz,
    progress            esteira.share not null default 0,
    progress_message    text,
    current_step        text,
    unique_key          esteira.job_key,
    tags                text[] not null default '{}',
    metadata            esteira.json_object not null default '{}',
    error               esteira.job_error,
    result_error        text,
    payload             jsonb not null default '{}',
    result              jsonb
) partition by list (status);

-- What columns have to do with one another stands at the partition whose rows could break it, and there is little of it: a
-- constraint is kept as text, and every statement that writes a row reads and plans it anew. All that could be said took a quarter
-- of what enqueueing one job costs the server. Here stands what would lose a job, which runs for ever if it runs for nobody, or
-- break a view.
create table esteira.job_live partition of esteira.job (
    constraint job_running_has_a_worker check (
        (status = 'running') = (worker_id is not null) and (worker_id is null) = (engine is null)),
    constraint job_live_has_no_end check (finished_at is null)
) for values in ('queued', 'running', 'waiting')
-- Half of each page is left to the versions that claims write: with the old one on the same page only what changed is logged.
-- 250 of 1,240 bytes of WAL a job; 1,150 of 3,060 with a payload of 1 KB. No time, where the disk is fast.
-- Vacuum by dead rows alone, early and unthrottled: what was claimed leaves index entries that claims must step over.
with (
    fillfactor = 50,
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
    autovacuum_analyze_scale_factor = 0.2, autovacuum_analyze_threshold = 5000,
    autovacuum_vacuum_cost_delay = 0, autovacuum_vacuum_insert_scale_factor = 0.2);
create table esteira.job_dead partition of esteira.job (
    constraint job_end_has_a_time check (finished_at is not null),
    constraint job_end_has_a_reason check (reason is not null),
    constraint job_dead_has_an_error check (error is not null),
    constraint job_result_is_of_a_completed_job check (result is null and result_error is null)
) for values in ('dead');
create table esteira.job_finished partition of esteira.job (
    constraint job_cancelled_has_a_reason_and_no_result check (
        status = 'completed' or (reason is not null and result is null and result_error is null))
) for values in ('completed', 'cancelled') partition by range (finished_at);
-- A long payload was compressed when it was enqueued, if it could be, and moves here as it is. One that could not was tried again at
-- the settle: 270 µs instead of 90 for one of 10 KB.
alter table esteira.job_finished alter payload set storage external;

-- Every leaf has its own primary key (make_day gives one to each day): a partitioned key would need the partition's columns.
alter table esteira.job_live add primary key (id);
alter table esteira.job_dead add primary key (id);

-- Every verb that looks for jobs runs with `set enable_seqscan = off`: a plan cached while the table held 20 rows went on
-- reading all of it at 100,000 (11 ms a progress or hold, 20 ms a cancel or fail, instead of 0.1).
-- Those that read a small table whole all the same also say `set jit = off`: before PostgreSQL 18 a scan that is off is taken
-- for so dear that the plan is compiled, anew at every call (160 ms).

-- What a claim walks, in the order in which it takes. Future jobs stand behind now and are never visited.
create index job_live_ready on esteira.job_live (queue, priority, ready_at, id) where status = 'queued';
-- What a worker holds. Its predicate is implied by no hot statement: a partial index on status = 'running' was taken
-- by the planner for settles whatever the settings said, 2.5 ms a job instead of 7 µs.
create index job_live_worker on esteira.job_live (worker_id) where worker_id is not null;
-- One live job a task and key. It, and the next, hold only the jobs that have such a key or time: others pay nothing.
create unique index job_live_unique on esteira.job_live (task, unique_key) where unique_key is not null;
create index job_live_expires on esteira.job_live (expires_at) where expires_at is not null and attempt = 0;
-- For retention, lists by the time of the end, and statistics; make_day gives one to each day.
create index job_dead_age on esteira.job_dead (finished_at, queue);
-- What lists search, as make_day explains.
create index job_dead_rare on esteira.job_dead using brin (
    queue text_bloom_ops (n_distinct_per_range = 200), task text_bloom_ops (n_distinct_per_range = 200),
    worker_id uuid_bloom_ops (n_distinct_per_range = 100)) with (pages_per_range = 32, autosummarize = on);
create index job_dead_tags on esteira.job_dead using gin (tags) where tags <> '{}';
create index job_dead_metadata on esteira.job_dead using gin (metadata jsonb_path_ops) where metadata <> '{}';

comment on table esteira.job is 'Every job there is. Read it through the view esteira.jobs; change it through the verbs.';
comment on table esteira.job_live is 'Jobs that are queued, running or waiting.';
comment on table esteira.job_dead is 'The dead letter: jobs that failed for good, until retried or discarded.';
comment on table esteira.job_finished is 'Completed and cancelled jobs, a partition a day (UTC) of finished_at.';
comment on column esteira.job.id is 'UUID of version 7: sorts by time of creation.';
comment on column esteira.job.queue is 'The named lane that the job stands in.';
comment on column esteira.job.task is 'The name of the function to run, as its workers declare it.';
comment on column esteira.job.priority is '0 low, 1 normal, 2 high, 3 critical; the highest first within a queue.';
comment on column esteira.job.status is 'queued, running, waiting, completed, dead, cancelled. Scheduled and retrying jobs are queued ones with a future run_at.';
comment on column esteira.job.reason is 'Why it ended: attempts_exhausted, not_retryable, crashed (dead); cancelled, expired, purged (cancelled).';
comment on column esteira.job.attempt is 'Executions so far. It only rises, at claim; with the id it is the fencing token of every write by a worker.';
comment on column esteira.job.failures is 'Attempts charged against max_attempts.';
comment on column esteira.job.crashes is 'Attempts that ended with their process or worker. From two on the job runs alone in its engine; the third is dead.';
comment on column esteira.job.generation is 'Lives of the job: retrying a dead or cancelled one begins the next.';
comment on column esteira.job.max_attempts is 'How many failures are the last; null: what the task declares, else 3.';
comment on column esteira.job.engine is 'The engine process of the worker that runs it, by number.';
comment on column esteira.job.worker_id is 'The worker that runs it, or that ran it last.';
comment on column esteira.job.retry_first_seconds is 'Backoff after the first failure; null: what the task declares, else 5 s.';
comment on column esteira.job.retry_max_seconds is 'Longest backoff; null: what the task declares, else 1 h.';
comment on column esteira.job.timeout_seconds is 'Longest an attempt may take; null: what the task declares, else 1 h.';
comment on column esteira.job.created_at is 'When it was enqueued.';
comment on column esteira.job.updated_at is 'When the row last changed.';
comment on column esteira.job.run_at is 'When the user wants it to run.';
comment on column esteira.job.ready_at is 'When it may be claimed: set to no earlier than the moment of the transition into queued, so that it lies above every floor.';
comment on column esteira.job.expires_at is 'A job that has not begun by then is cancelled, reason expired; null: never.';
comment on column esteira.job.started_at is 'When its latest attempt was claimed.';
comment on column esteira.job.finished_at is 'When it ended.';
comment on column esteira.job.progress is '0 to 1, as of its end; while it is live see esteira.activity.';
comment on column esteira.job.progress_message is 'What the handler last said of it, as of its end.';
comment on column esteira.job.current_step is 'The step that it was in, as of its end.';
comment on column esteira.job.unique_key is 'At most one live job of its task has this key.';
comment on column esteira.job.tags is 'Words to filter by.';
comment on column esteira.job.metadata is 'Whatever the client wants to remember with the job; an object.';
comment on column esteira.job.error is 'The last failure: {type, message, attempt, at}. Null once completed.';
comment on column esteira.job.result_error is 'Why the result of a completed job could not be stored.';
comment on column esteira.job.payload is 'The task''s arguments.';
comment on column esteira.job.result is 'What the task returned.';

-- What changes while a job runs stands in this narrow row beside it: writing it copies no payload and waits behind no
-- handler's open completing transaction. Made when first needed, merged into the job at its end.
create table esteira.activity (
    job_id              uuid primary key,
    attempt             integer not null,
    progress            real not null default 0 constraint activity_progress_is_a_share check (progress between 0 and 1),
    progress_message    text,
    current_step        text,
    updated_at          timestamptz not null,
    cancel_requested_at timestamptz,
    constraint activity_times_are_finite check (isfinite(updated_at) and isfinite(cancel_requested_at))
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
-- For the heartbeat, which asks once a second: it holds next to nothing, and progress leaves it alone (HOT).
create index activity_cancel on esteira.activity (job_id) where cancel_requested_at is not null;

comment on table esteira.activity is 'Progress, current step and cancel request of a live job, if it has any.';
comment on column esteira.activity.job_id is 'The job, live.';
comment on column esteira.activity.attempt is 'The attempt that wrote it last.';
comment on column esteira.activity.progress is '0 to 1.';
comment on column esteira.activity.progress_message is 'What the handler last said.';
comment on column esteira.activity.current_step is 'The step that it is in, or that it finished last.';
comment on column esteira.activity.updated_at is 'When it last made progress: without any for 15 min it counts as stuck.';
comment on column esteira.activity.cancel_requested_at is 'Somebody asked the running job to stop; its worker learns of it with the next heartbeat.';

create table esteira.attempt (
    job_id      uuid not null,
    attempt     integer not null,
    outcome     text not null constraint attempt_outcome_is_known
                check (outcome in ('failed', 'timed_out', 'crashed', 'lost', 'snoozed', 'released', 'cancelled')),
    error       jsonb,
    traceback   text,
    worker_id   uuid,
    engine      integer,
    started_at  timestamptz not null,
    finished_at timestamptz not null,
    primary key (job_id, attempt)
);
comment on table esteira.attempt is
'One row for every attempt that did not complete: why it ended, and where. Also the evidence when the reply to a fail was lost.';
comment on column esteira.attempt.job_id is 'The job.';
comment on column esteira.attempt.attempt is 'Its number: they rise over all generations of the job.';
comment on column esteira.attempt.outcome is
'failed, timed_out: charged as failures. crashed (engine died), lost (worker died): counted apart. snoozed, released (shutdown), cancelled: not charged.';
comment on column esteira.attempt.error is '{type, message, attempt, at}';
comment on column esteira.attempt.traceback is 'Where in the code it failed.';
comment on column esteira.attempt.worker_id is 'The worker that ran it.';
comment on column esteira.attempt.engine is 'The engine of that worker.';
comment on column esteira.attempt.started_at is 'When it was claimed.';
comment on column esteira.attempt.finished_at is 'When it ended.';

create table esteira.step (
    job_id      uuid not null,
    name        text not null constraint step_name_is_short check (length(name) between 1 and 200),
    attempt     integer not null,
    result      jsonb,
    started_at  timestamptz not null,
    finished_at timestamptz not null,
    primary key (job_id, name)
);
comment on table esteira.step is 'Finished steps: a checkpoint each. A later attempt reads the result here and does not run the step again.';
comment on column esteira.step.job_id is 'The job.';
comment on column esteira.step.name is 'Unique within the job.';
comment on column esteira.step.attempt is 'The attempt that finished it.';
comment on column esteira.step.result is 'What the step returned.';
comment on column esteira.step.started_at is 'When it began.';
comment on column esteira.step.finished_at is 'When it was stored.';

create table esteira.worker (
    id           uuid primary key,
    hostname     text not null,
    pid          integer not null,
    version      text not null,
    queues       text[],
    tasks        text[] not null,
    engines      integer not null constraint worker_engines_is_positive check (engines > 0),
    slots        integer not null constraint worker_slots_is_positive check (slots > 0),
    started_at   timestamptz not null,
    beat_at      timestamptz not null,
    beats        bigint not null default 0,
    seen_beats   bigint not null default 0,
    missed_ticks integer not null default 0,
    ticked_at    timestamptz not null,
    held_slots   integer not null default 0 constraint worker_held_slots_are_some check (held_slots >= 0),
    stalled_engines integer[],
    stalled_at   timestamptz,
    drain_at     timestamptz,
    stopped_at   timestamptz,
    lost_at      timestamptz,
    -- The tick computes with them, for all workers at once.
    constraint worker_times_are_finite check (isfinite(started_at) and isfinite(beat_at) and isfinite(ticked_at)),
    constraint worker_missed_ticks_are_few check (missed_ticks between 0 and 1000000)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);

comment on table esteira.worker is 'Workers and their leases. One row a worker, never one a job.';
comment on column esteira.worker.id is 'Chosen by the worker, new with every start.';
comment on column esteira.worker.hostname is 'The machine or container it runs on.';
comment on column esteira.worker.pid is 'Its supervisor process there.';
comment on column esteira.worker.version is 'Of Esteira.';
comment on column esteira.worker.queues is 'The queues it serves; null: all.';
comment on column esteira.worker.tasks is 'The tasks it knows: it claims no others.';
comment on column esteira.worker.engines is 'Its processes that run jobs.';
comment on column esteira.worker.slots is 'Jobs at once, over all its engines.';
comment on column esteira.worker.started_at is 'When it registered.';
comment on column esteira.worker.beat_at is 'When its last heartbeat came.';
comment on column esteira.worker.beats is 'Heartbeats so far.';
comment on column esteira.worker.seen_beats is 'Heartbeats as of the last tick.';
comment on column esteira.worker.missed_ticks is
'Ticks in a row that saw no new beat. The lease is counted in ticks that succeeded, not in wall time: a database outage or a clock that jumps expires nobody.';
comment on column esteira.worker.ticked_at is 'When a tick last counted it.';
comment on column esteira.worker.held_slots is
'As of its last heartbeat: slots in which a handler runs on though it timed out or was cancelled. They take no job until it ends.';
comment on column esteira.worker.stalled_engines is
'As of its last heartbeat: engines whose event loop or claim loop stands still; null: none. They take no job.';
comment on column esteira.worker.stalled_at is 'Since when the first of them stands still.';
comment on column esteira.worker.drain_at is 'Somebody asked it to stop; it learns of it with its next heartbeat.';
comment on column esteira.worker.stopped_at is 'It left in good order.';
comment on column esteira.worker.lost_at is 'It was given up, and its jobs were taken back.';

-- As lax about names as esteira.job is: the tick notes every queue that somebody put a job in, by whatever way.
create table esteira.queue (
    name               text primary key constraint queue_name_is_short check (length(name) between 1 and 100),
    created_at         timestamptz not null,
    paused_at          timestamptz,
    keep_finished      interval constraint queue_keep_finished_is_positive check (keep_finished between '1 s' and '100 years'),
    keep_dead          interval constraint queue_keep_dead_is_positive check (keep_dead between '1 s' and '100 years'),
    finished_kept_from timestamptz
);
-- For claims, which ask whether a queue is paused: it holds next to nothing.
create index queue_paused on esteira.queue (name) where paused_at is not null;

comment on table esteira.queue is
'The queues known so far: those that tasks declare, those that jobs were seen in, and those that somebody set up. Enqueueing never writes here, so two clients that begin a queue at once do not wait for each other.';
comment on column esteira.queue.name is 'As jobs name it.';
comment on column esteira.queue.created_at is 'When it was first seen.';
comment on column esteira.queue.paused_at is 'Since then nothing of it is claimed; null: it is not paused.';
comment on column esteira.queue.keep_finished is 'How long its completed and cancelled jobs are kept; null: as esteira.retention says.';
comment on column esteira.queue.keep_dead is 'How long its dead letters are kept; null: as esteira.retention says.';
comment on column esteira.queue.finished_kept_from is 'Where it keeps less than others: what ended before it is removed already; null: begin at the beginning.';

create table esteira.task (
    name                text primary key,
    version             integer not null default 1,
    queue               text not null,
    priority            smallint not null,
    max_attempts        integer not null constraint task_max_attempts_is_positive check (max_attempts >= 1),
    retry_first_seconds double precision not null,
    retry_max_seconds   double precision not null,
    timeout_seconds     double precision not null,
    executor            text not null constraint task_executor_is_known check (executor in ('async', 'thread', 'process')),
    steps               text[] not null default '{}',
    payload_schema      jsonb not null,
    unique_fields       text[],
    unique_on_conflict  text constraint task_unique_on_conflict_is_known check (unique_on_conflict in ('return', 'replace', 'reject')),
    declared_at         timestamptz not null,
    paused_at           timestamptz,
    -- Jobs without a policy of their own have this one: what would break a job's row, or a view, is refused here.
    constraint task_queue_is_short check (length(queue) between 1 and 100),
    constraint task_priority_is_0_to_3 check (priority between 0 and 3),
    constraint task_limits_are_positive check (retry_first_seconds >= 0 and retry_max_seconds >= 0 and timeout_seconds > 0 and timeout_seconds <= 3.2e9)
);
-- For claims and enqueues, which ask for the few exceptions: they hold next to nothing.
create index task_paused on esteira.task (name) where paused_at is not null;
create index task_unique on esteira.task (name) where unique_fields is not null;

comment on table esteira.task is 'What the workers declared of each task: the policy of jobs that name none of their own.';
comment on column esteira.task.name is 'As jobs name it.';
comment on column esteira.task.version is 'The highest version declared wins; an older worker never overwrites it.';
comment on column esteira.task.queue is 'The queue of jobs that name none.';
comment on column esteira.task.priority is '0 low, 1 normal, 2 high, 3 critical.';
comment on column esteira.task.max_attempts is 'How many failures are the last.';
comment on column esteira.task.retry_first_seconds is 'Backoff after the first failure.';
comment on column esteira.task.retry_max_seconds is 'Longest backoff.';
comment on column esteira.task.timeout_seconds is 'Longest an attempt may take.';
comment on column esteira.task.executor is 'Where it runs: async (the loop), thread, process.';
comment on column esteira.task.steps is 'The declared pipeline, in order: progress follows from it.';
comment on column esteira.task.payload_schema is 'JSON Schema of the payload.';
comment on column esteira.task.unique_fields is 'Payload fields that make up the unique key of jobs that name none.';
comment on column esteira.task.unique_on_conflict is 'What becomes of a job whose key a live job has: return, replace, reject.';
comment on column esteira.task.declared_at is 'When a worker last declared it.';
comment on column esteira.task.paused_at is 'Since then none of its jobs is claimed; null: it is not paused.';

create table esteira.idempotency_key (
    key         text primary key constraint idempotency_key_is_short check (length(key) between 1 and 255),
    fingerprint bytea not null,
    job_id      uuid not null,
    created_at  timestamptz not null
);
create index idempotency_key_age on esteira.idempotency_key (created_at);

comment on table esteira.idempotency_key is
'Requests that said who they are: the same one again within 24 h is answered with the same job, another with the same key is refused.';
comment on column esteira.idempotency_key.key is 'As the client chose it.';
comment on column esteira.idempotency_key.fingerprint is 'SHA-256 of all that was asked for.';
comment on column esteira.idempotency_key.job_id is 'The job that answered.';
comment on column esteira.idempotency_key.created_at is 'When it was first seen.';

create table esteira.retention (
    id                 smallint primary key default 1 constraint retention_is_one_row check (id = 1),
    finished           interval not null default '7 days'
                       constraint retention_finished_is_positive check (finished between '1 s' and '100 years'),
    dead               interval not null default '30 days'
                       constraint retention_dead_is_positive check (dead between '1 s' and '100 years'),
    finished_kept_from timestamptz,
    finished_removed   bigint not null default 0,
    dead_removed       bigint not null default 0,
    walked_to          uuid not null default '00000000-0000-0000-0000-000000000000',
    retained_at        timestamptz not null default '-infinity'
);
insert into esteira.retention default values;

comment on table esteira.retention is 'How long jobs are kept after their end, what was removed, and how far retention came. One row.';
comment on column esteira.retention.id is 'Always 1.';
comment on column esteira.retention.finished is 'How long completed and cancelled jobs are kept, where their queue says nothing else.';
comment on column esteira.retention.dead is 'How long dead letters are kept, where their queue says nothing else.';
comment on column esteira.retention.finished_kept_from is
'Where queues without a rule of their own keep less than others: what of theirs ended before it is removed already; null: begin at the beginning.';
comment on column esteira.retention.finished_removed is 'Completed and cancelled jobs that retention removed so far.';
comment on column esteira.retention.dead_removed is 'Dead letters that retention removed so far.';
comment on column esteira.retention.walked_to is 'The job id up to which steps and attempts were last searched for those without a job.';
comment on column esteira.retention.retained_at is 'When retention last ran.';

-- Where the server has lz4, long values are compressed by it: it makes them as small as PostgreSQL's own method does, and faster.
-- Enqueueing payloads of 10 KB costs 0.52 to 0.59 of the time. `like … including compression` gives it to later days.
do $do$
declare
    long record;
begin
    if exists (select from pg_settings where name = 'default_toast_compression' and 'lz4' = any (enumvals)) then
        for long in
            select attrelid::regclass as place, attname
            from pg_attribute
            join pg_class on pg_class.oid = attrelid
            where relnamespace = 'esteira'::regnamespace and relkind in ('r', 'p') and atttypid = 'jsonb'::regtype
        loop
            execute format('alter table %s alter %I set compression lz4', long.place, long.attname);
        end loop;
    end if;
end
$do$;

-- A UUID of version 7 carries its time: one older than what is kept was removed, whoever asks for it again.
create function esteira.missing(id uuid) returns void
language plpgsql
-- "1 sec", "7 days", and not "00:00:01".
set intervalstyle = postgres_verbose
as $$
#variable_conflict use_column
declare
    kept interval := (
        select least(retention.finished, (select min(queue.keep_finished) from esteira.queue as queue))
        from esteira.retention as retention);
begin
    if esteira.uuid7_time(missing.id) < esteira.now() - kept then
        raise exception 'job % is gone: jobs are kept for % after their end', missing.id, ltrim(kept::text, '@ ') using errcode = 'ES005';
    end if;
    raise exception 'no job %', missing.id using errcode = 'ES001';
end
$$;
comment on function esteira.missing(uuid) is 'Internal: raises ES005 where retention may have removed the job, else ES001: no job has this id.';

-- Asked by every settle, so the usual answer ("it is there") costs one look into the catalogue's cache, about 1 µs.
-- `create table` + `attach` blocks nobody, unlike `create table … partition of`.
create function esteira.make_day(moment timestamptz) returns boolean
language plpgsql
as $do$
declare
    day date := (moment at time zone 'utc')::date;
    leaf text := 'job_finished_' || to_char(day, 'YYYYMMDD');
begin
    if to_regclass('esteira.' || leaf) is not null then
        return false;
    end if;
    perform pg_advisory_xact_lock(hashtext('esteira.make_day'));
    -- The catalogue itself: its cache still says what it said before we waited for whoever made the day.
    if exists (select from pg_class where relname = leaf and relnamespace = 'esteira'::regnamespace) then
        return false;
    end if;
    execute format(
        'create table esteira.%I (like esteira.job_finished including defaults including constraints including storage including compression)',
        leaf);
    execute format('alter table esteira.%I add primary key (id)', leaf);
    -- For retention, lists by the time of the end, and statistics. Since a batch has one finished_at, which is stored once, it is 5 % of
    -- a settle; (finished_at, id) was 9 %.
    execute format('create index on esteira.%I (finished_at, queue)', leaf);
    -- Few, and lists may ask for them alone.
    execute format($$create index on esteira.%I (id) where status = 'cancelled'$$, leaf);
    -- What lists ask for few jobs among many: which 32 blocks may hold any. A settle does not feel it (a b-tree for each of the
    -- three columns made it a third slower), and it is a thousandth of the table. Jobs without tags and metadata pay nothing.
    execute format(
        'create index on esteira.%I using brin (queue text_bloom_ops (n_distinct_per_range = 200), '
        'task text_bloom_ops (n_distinct_per_range = 200), worker_id uuid_bloom_ops (n_distinct_per_range = 100)) '
        'with (pages_per_range = 32, autosummarize = on)', leaf);
    execute format($$create index on esteira.%I using gin (tags) where tags <> '{}'$$, leaf);
    execute format($$create index on esteira.%I using gin (metadata jsonb_path_ops) where metadata <> '{}'$$, leaf);
    execute format('comment on table esteira.%I is %L', leaf, 'Jobs that ended on ' || day || ' (UTC).');
    execute format(
        'alter table esteira.job_finished attach partition esteira.%I for values from (%L) to (%L)',
        leaf, day::timestamp at time zone 'utc', (day + 1)::timestamp at time zone 'utc');
    return true;
end
$do$;
comment on function esteira.make_day(timestamptz) is 'Makes the partition of finished jobs for the day (UTC) of the moment; false if it was there.';

-- Ends live jobs that the caller has locked. What stood in activity goes with them.
create function esteira.finish(ids uuid[], status text, reason text, moment timestamptz) returns void
language plpgsql
as $$
#variable_conflict use_column
begin
    perform esteira.make_day(moment);
    with noted as (
        delete from esteira.activity as activity
        where activity.job_id = any (finish.ids)
        returning activity.job_id, activity.progress, activity.progress_message, activity.current_step
    ), gone as (
        delete from esteira.job_live as job
        where job.id = any (finish.ids)
        returning job.*
    )
    insert into esteira.job (
        id, queue, task, priority, status, reason, attempt, failures, crashes, generation, max_attempts, engine, worker_id,
        retry_first_seconds, retry_max_seconds, timeout_seconds, created_at, updated_at, run_at, ready_at, expires_at, started_at, finished_at,
        progress, progress_message, current_step, unique_key, tags, metadata, error, payload)
    select
        id, queue, task, priority, finish.status, finish.reason, attempt, failures, crashes, generation, max_attempts, engine, worker_id,
        retry_first_seconds, retry_max_seconds, timeout_seconds, created_at, moment, run_at, ready_at, expires_at, started_at, moment,
        coalesce(noted.progress, gone.progress), coalesce(noted.progress_message, gone.progress_message),
        coalesce(noted.current_step, gone.current_step), unique_key, tags, metadata, error, payload
    from gone
    left join noted on noted.job_id = gone.id
    -- Only where somebody put the job back by hand beside the one that had ended.
    on conflict do nothing;
end
$$;
comment on function esteira.finish(uuid[], text, text, timestamptz) is
'Internal: moves locked live jobs to dead or cancelled. The caller holds their rows and has checked its right to them.';

-- The one way back from running to queued, so that a cancel asked for meanwhile is never lost: such a job is cancelled.
create function esteira.requeue(ids uuid[], run_at timestamptz, moment timestamptz) returns void
language plpgsql
as $$
#variable_conflict use_column
declare
    asked uuid[] := array(
        select job_id from esteira.activity
        where job_id = any (requeue.ids) and cancel_requested_at is not null);
begin
    if cardinality(asked) > 0 then
        perform esteira.finish(asked, 'cancelled', 'cancelled', moment);
    end if;
    update esteira.job_live as job
    set status = 'queued', worker_id = null, engine = null, updated_at = moment,
        run_at = coalesce(requeue.run_at, job.run_at),
        ready_at = greatest(coalesce(requeue.run_at, job.run_at), moment)
    where job.id = any (requeue.ids);
end
$$;
comment on function esteira.requeue(uuid[], timestamptz, timestamptz) is
'Internal: puts locked running jobs back into their queues, or cancels those that somebody asked to stop. run_at null keeps theirs.';

-- A number that is there already was set back by hand: the queue goes on, with the later evidence.
create function esteira.record_attempt(ids uuid[], outcome text, error jsonb, traceback text, moment timestamptz) returns void
language sql
as $$
insert into esteira.attempt (job_id, attempt, outcome, error, traceback, worker_id, engine, started_at, finished_at)
select job.id, job.attempt, record_attempt.outcome,
       record_attempt.error || jsonb_build_object('attempt', job.attempt, 'at', moment),
       record_attempt.traceback, job.worker_id, job.engine, coalesce(job.started_at, job.updated_at), moment
from esteira.job_live as job
where job.id = any (record_attempt.ids)
on conflict (job_id, attempt) do update
set outcome = excluded.outcome, error = excluded.error, traceback = excluded.traceback, worker_id = excluded.worker_id,
    engine = excluded.engine, started_at = excluded.started_at, finished_at = excluded.finished_at
$$;
comment on function esteira.record_attempt(uuid[], text, jsonb, text, timestamptz) is
'Internal: notes how the current attempt of each locked job ended.';

-- Jobs whose process died. That is not charged as a failure, since the job may be a bystander; but a job that takes
-- its process down three times is dead, so that a poison pill cannot go round for ever.
create function esteira.lose(ids uuid[], outcome text, message text, moment timestamptz) returns void
language plpgsql
as $$
#variable_conflict use_column
declare
    failure jsonb := jsonb_build_object('type', initcap(outcome), 'message', message);
    hopeless uuid[];
begin
    perform esteira.record_attempt(ids, outcome, failure, null, moment);
    -- Where esteira.tally ends, it stays: a failure here would be that of every tick.
    update esteira.job_live as job
    set crashes = least(job.crashes + 1, 999999999),
        error = failure || jsonb_build_object('attempt', job.attempt, 'at', moment)
    where job.id = any (lose.ids);
    -- A cancel that was asked for beats the dead letter: requeue sees to it.
    hopeless := array(
        select job.id from esteira.job_live as job
        where job.id = any (lose.ids) and job.crashes >= 3
          and not exists (select from esteira.activity where job_id = job.id and cancel_requested_at is not null));
    if cardinality(hopeless) > 0 then
        perform esteira.finish(hopeless, 'dead', 'crashed', moment);
    end if;
    perform esteira.requeue(lose.ids, null, moment);
end
$$;
comment on function esteira.lose(uuid[], text, text, timestamptz) is
'Internal: takes back locked jobs whose engine (crashed) or worker (lost) died; at the third such end the job is dead.';

-- A worker names its sessions esteira/<worker>/<engine>. Before its jobs are taken back those sessions end: else a claim
-- still on its way could commit afterwards for a process that is gone, and the open completing transaction of a stopped
-- one would hold the row for as long as it is stopped. All are told to end before the first is waited for, up to a second each. Where
-- the owner of the queue may not end a session, the rescue goes on without: the fence keeps what that session still writes from counting.
create function esteira.disconnect(session_name text) returns integer
language plpgsql
as $$
declare
    session record;
    told integer[] := '{}';
begin
    for session in
        select activity.pid, activity.usename
        from pg_stat_activity as activity
        where (activity.application_name = session_name or starts_with(activity.application_name, session_name || '/'))
          and activity.datname = current_database()
          and activity.pid <> pg_backend_pid()
    loop
        begin
            perform pg_terminate_backend(session.pid);
            told := told || session.pid;
        exception when insufficient_privilege then
            raise warning '% may not end the session % of %: see `esteira roles`', current_user, session.pid, session.usename;
        end;
    end loop;
    -- What this view shows stays the same within a transaction unless it is asked to look again.
    perform pg_stat_clear_snapshot();
    perform pg_terminate_backend(activity.pid, 1000) from pg_stat_activity as activity where activity.pid = any (told);
    return cardinality(told);
end
$$;
comment on function esteira.disconnect(text) is
'Internal: ends the sessions of a dead engine (esteira/<worker>/<engine>) or of a whole worker (esteira/<worker>); returns how many.';

create function esteira.remove_parts(ids uuid[]) returns bigint
language plpgsql
as $$
declare
    removed bigint := 0;
    found bigint;
begin
    delete from esteira.step as step where step.job_id = any (ids);
    get diagnostics found = row_count;
    removed := removed + found;
    delete from esteira.attempt as attempt where attempt.job_id = any (ids);
    get diagnostics found = row_count;
    removed := removed + found;
    delete from esteira.activity as activity where activity.job_id = any (ids);
    get diagnostics found = row_count;
    return removed + found;
end
$$;
comment on function esteira.remove_parts(uuid[]) is 'Internal: removes steps, attempts and activity of jobs that are removed; returns how many rows.';

-- A drop needs its table's parent for itself, and whoever comes meanwhile queues up behind it: hence the verb's lock_timeout, and
-- hence the count before it, under a lock that keeps writers out of that one day only. Such a day's steps and attempts are found
-- by remove_orphans.
create function esteira.remove_day(before timestamptz) returns bigint
language plpgsql
as $$
#variable_conflict use_variable
declare
    leaf regclass;
    jobs bigint;
begin
    select day.oid into leaf
    from pg_class as day
    join pg_inherits as inherits on inherits.inhrelid = day.oid
    where inherits.inhparent = 'esteira.job_finished'::regclass
      and day.relname ~ '^job_finished_[0-9]{8}$'
      and day.relname < 'job_finished_' || to_char(before at time zone 'utc', 'YYYYMMDD')
    order by day.relname
    limit 1;
    if leaf is null then
        return 0;
    end if;
    execute format('lock table %s in share mode', leaf);
    execute format('select count(*) from %s', leaf) into jobs;
    execute format('drop table %s', leaf);
    return jobs;
exception
    when lock_not_available or deadlock_detected then
        return 0;
    -- Somebody's view of that day, or a day that somebody else made: the other work goes on.
    when dependent_objects_still_exist or insufficient_privilege then
        raise warning '% cannot be dropped: %', leaf, sqlerrm;
        return 0;
end
$$;
comment on function esteira.remove_day(timestamptz) is
'Internal: drops the oldest day of finished jobs that ended before the moment and returns how many they were; 0 also where a reader is in the way: the next pass tries again.';

-- Two statements, since the queue must be a condition of the index: entries of other queues are then passed by without a look at
-- their rows.
create function esteira.expired(queue text, others text[], since timestamptz, until timestamptz, batch integer)
returns table (id uuid, finished_at timestamptz)
language plpgsql
as $$
#variable_conflict use_column
begin
    if expired.queue is not null then
        return query
        select job.id, job.finished_at
        from esteira.job_finished as job
        where job.finished_at >= expired.since and job.finished_at < expired.until and job.queue = expired.queue
        order by job.finished_at
        limit expired.batch
        for update skip locked;
    else
        return query
        select job.id, job.finished_at
        from esteira.job_finished as job
        where job.finished_at >= expired.since and job.finished_at < expired.until and job.queue <> all (expired.others)
        order by job.finished_at
        limit expired.batch
        for update skip locked;
    end if;
end
$$;
comment on function esteira.expired(text, text[], timestamptz, timestamptz, integer) is
'Internal: locks the first of the jobs that ended in that time, of one queue, or of all but the others; returns them.';

-- For queues that keep less than the days are kept. Each goes on where it stopped last: deleted index entries stay until vacuum, and
-- stepping over them at every batch would be quadratic under a held snapshot. Once a day it begins at the beginning, for what was
-- committed late.
create function esteira.remove_finished(longest interval, moment timestamptz, batch integer) returns bigint
language plpgsql
as $$
#variable_conflict use_column
declare
    own text[] := array(select queue.name from esteira.queue as queue where queue.keep_finished is not null);
    rule record;
    ids uuid[];
    last timestamptz;
    removed bigint := 0;
begin
    for rule in
        select null as queue, retention.finished_kept_from as came_to, moment - retention.finished as until
        from esteira.retention as retention
        where retention.finished < longest
        union all
        select queue.name, queue.finished_kept_from, moment - queue.keep_finished
        from esteira.queue as queue
        where queue.keep_finished < longest
        order by queue
    loop
        select array_agg(id), max(finished_at) into ids, last
        from esteira.expired(rule.queue, own, coalesce(rule.came_to, '-infinity'), rule.until, (batch - removed)::integer);
        -- By their ids alone, in every day: with the times beside them a plan may read all that ended in between.
        delete from esteira.job_finished as job where job.id = any (ids);
        perform esteira.remove_parts(ids);
        removed := removed + coalesce(cardinality(ids), 0);
        rule.came_to := case
            when removed >= batch then last
            when rule.came_to is null or date_trunc('day', rule.came_to) = date_trunc('day', rule.until) then rule.until
        end;
        update esteira.queue as queue set finished_kept_from = rule.came_to where queue.name = rule.queue;
        update esteira.retention as retention set finished_kept_from = rule.came_to where rule.queue is null;
        exit when removed >= batch;
    end loop;
    return removed;
end
$$;
comment on function esteira.remove_finished(interval, timestamptz, integer) is
'Internal: removes a batch of completed and cancelled jobs whose queue keeps them for less than the longest rule; returns how many.';

create function esteira.remove_dead(moment timestamptz, batch integer) returns bigint
language plpgsql
as $$
#variable_conflict use_column
declare
    ids uuid[];
begin
    with doomed as materialized (
        select job.id
        from esteira.job_dead as job
        cross join esteira.retention as retention
        left join esteira.queue as queue on queue.name = job.queue and queue.keep_dead is not null
        -- The shortest rule is what the index is asked for.
        where job.finished_at < remove_dead.moment - (
                  select least(retention.dead, (select min(queue.keep_dead) from esteira.queue as queue)) from esteira.retention as retention)
          and job.finished_at < remove_dead.moment - coalesce(queue.keep_dead, retention.dead)
        order by job.finished_at
        limit remove_dead.batch
        for update of job skip locked
    ), gone as (
        delete from esteira.job_dead as job
        where job.id = any (array(select doomed.id from doomed))
        returning job.id
    )
    select array_agg(gone.id) into ids from gone;
    perform esteira.remove_parts(ids);
    return coalesce(cardinality(ids), 0);
end
$$;
comment on function esteira.remove_dead(timestamptz, integer) is 'Internal: removes a batch of dead letters that are past their queue''s rule; returns how many.';

-- Whatever else takes a job away, a dropped day or somebody's delete, leaves its steps and attempts behind. A walk along their primary
-- keys finds them, a batch of jobs at a time; ids sort by age, so it looks only at those older than any rule: few of these still live.
create function esteira.remove_orphans(before timestamptz, batch integer) returns bigint
language plpgsql
as $$
#variable_conflict use_column
declare
    since uuid := (select walked_to from esteira.retention);
    until uuid := esteira.uuid7_at(before);
    seen integer;
    last uuid;
    orphans uuid[];
begin
    with part as (
        (select distinct step.job_id from esteira.step as step
         where step.job_id > since and step.job_id < until order by step.job_id limit remove_orphans.batch)
        union
        (select distinct attempt.job_id from esteira.attempt as attempt
         where attempt.job_id > since and attempt.job_id < until order by attempt.job_id limit remove_orphans.batch)
        union
        (select activity.job_id from esteira.activity as activity
         where activity.job_id > since and activity.job_id < until order by activity.job_id limit remove_orphans.batch)
        order by job_id
        limit remove_orphans.batch
    )
    select count(*), (array_agg(part.job_id order by part.job_id desc))[1],
           array_agg(part.job_id) filter (where not exists (select from esteira.job as job where job.id = part.job_id))
    into seen, last, orphans
    from part;
    update esteira.retention as retention
    set walked_to = case when seen = remove_orphans.batch then last else '00000000-0000-0000-0000-000000000000' end;
    return esteira.remove_parts(orphans);
end
$$;
comment on function esteira.remove_orphans(timestamptz, integer) is
'Internal: removes steps, attempts and activity without a job among the next batch of jobs older than the moment; returns how many rows.';

create function esteira.remove_keys(before timestamptz, batch integer) returns bigint
language sql
as $$
with gone as (
    delete from esteira.idempotency_key as kept
    where kept.key = any (array(
        select old.key
        from esteira.idempotency_key as old
        where old.created_at < remove_keys.before
        order by old.created_at
        limit remove_keys.batch
        for update skip locked))
    returning kept.key
)
select count(*) from gone
$$;
comment on function esteira.remove_keys(timestamptz, integer) is
'Internal: removes a batch of idempotency keys older than the moment; returns how many.';

-- unnest of arrays is what makes one statement of a thousand jobs. ids null: new ones; a null among them: not this one.
-- In plpgsql, which keeps the plan: before PostgreSQL 18 a function in SQL is planned anew at every call.
create function esteira.insert_jobs(
    ids            uuid[],
    tasks          text[],
    payloads       jsonb[],
    queues         text[],
    priorities     text[],
    delays         interval[],
    run_ats        timestamptz[],
    max_attempts   integer[],
    retry_firsts   interval[],
    retry_maxes    interval[],
    timeouts       interval[],
    metadata       jsonb[],
    tags           jsonb[],
    expires_ats    timestamptz[],
    unique_keys    text[],
    moment         timestamptz
) returns table (id uuid, queue text)
language plpgsql
as $$
#variable_conflict use_column
begin
    return query
    insert into esteira.job_live (
        id, queue, task, priority, max_attempts, retry_first_seconds, retry_max_seconds, timeout_seconds,
        created_at, updated_at, run_at, ready_at, expires_at, unique_key, tags, metadata, payload)
    select
        case when insert_jobs.ids is null then esteira.uuid7() else new.id end,
        coalesce(new.queue, task.queue, 'default'), new.task,
        coalesce(esteira.priority_number(new.priority), task.priority, 1),
        new.max_attempts, extract(epoch from new.retry_first), extract(epoch from new.retry_max), extract(epoch from new.timeout),
        moment, moment, due.run_at, due.run_at, new.expires_at, new.unique_key,
        case when new.tags is null then '{}' else array(select jsonb_array_elements_text(new.tags)) end,
        coalesce(new.metadata, '{}'), coalesce(new.payload, '{}')
    from unnest(
        insert_jobs.ids, insert_jobs.tasks, insert_jobs.payloads, insert_jobs.queues, insert_jobs.priorities, insert_jobs.delays,
        insert_jobs.run_ats, insert_jobs.max_attempts, insert_jobs.retry_firsts, insert_jobs.retry_maxes, insert_jobs.timeouts,
        insert_jobs.metadata, insert_jobs.tags, insert_jobs.expires_ats, insert_jobs.unique_keys
    ) with ordinality as new (
        id, task, payload, queue, priority, delay, run_at, max_attempts, retry_first, retry_max, timeout, metadata, tags,
        expires_at, unique_key, place)
    left join esteira.task as task on task.name = new.task
    cross join lateral (select greatest(new.run_at, moment + new.delay, moment)) as due (run_at)
    where insert_jobs.ids is null or new.id is not null
    order by new.place
    returning id, queue::text;
end
$$;
comment on function esteira.insert_jobs is 'Internal: the insert behind enqueue_many; returns the new jobs in the order of the arrays.';

-- {"id": 1}, so that people can read it; where that is long, its SHA-256.
create function esteira.unique_key(payload jsonb, fields text[]) returns text
language sql immutable strict parallel safe
as $$
select case when length(text) <= 200 then text else encode(sha256(convert_to(text, 'UTF8')), 'hex') end
from (select jsonb_object_agg(field, payload -> field)::text from unnest(fields) as given (field)) as key (text)
$$;
comment on function esteira.unique_key(jsonb, text[]) is 'Internal: the unique key that these fields of a payload make up.';

-- Waits for a transaction that is about to store the same key, as any insert into a unique index does.
-- `on conflict do update` locks the key that is in the way even where it leaves it alone, so nobody removes it before it is read.
create function esteira.remember_key(key text, fingerprint bytea, job_id uuid, moment timestamptz) returns table (id uuid, outcome text)
language plpgsql
as $$
#variable_conflict use_column
begin
    insert into esteira.idempotency_key as kept (key, fingerprint, job_id, created_at)
    values (remember_key.key, remember_key.fingerprint, remember_key.job_id, remember_key.moment)
    on conflict (key) do update
    set fingerprint = excluded.fingerprint, job_id = excluded.job_id, created_at = excluded.created_at
    where kept.created_at <= excluded.created_at - interval '24 h';
    if found then
        return query select remember_key.job_id, 'enqueued';
    else
        return query
        select kept.job_id, case when kept.fingerprint = remember_key.fingerprint then 'replayed' else 'idempotency_mismatch' end
        from esteira.idempotency_key as kept
        where kept.key = remember_key.key;
    end if;
end
$$;
comment on function esteira.remember_key(text, bytea, uuid, timestamptz) is
'Internal: keeps an idempotency key for a new job (enqueued), or returns the job that has it already (replayed; idempotency_mismatch: it was another request).';

-- Locks the live job only where that one is to go: one asked for again while its completion is under way is the answer at once.
create function esteira.take_unique(task text, unique_key text, on_conflict text, new_id uuid, moment timestamptz)
returns table (id uuid, outcome text)
language plpgsql
as $$
#variable_conflict use_column
declare
    live record;
begin
    loop
        select job.id, job.attempt > 0 or job.status = 'running' as has_begun, job.expires_at <= moment as late into live
        from esteira.job_live as job
        where job.task = take_unique.task and job.unique_key = take_unique.unique_key;
        if not found then
            return query select new_id, 'enqueued';
            return;
        end if;
        exit when live.has_begun or (on_conflict <> 'replace' and live.late is not true);
        -- It may begin or end while we wait for it: then all is looked at again.
        perform from esteira.job_live as job where job.id = live.id and job.attempt = 0 and job.status <> 'running' for update;
        continue when not found;
        if live.late then
            perform esteira.finish(array[live.id], 'cancelled', 'expired', moment);
            return query select new_id, 'enqueued';
        else
            delete from esteira.job_live as job where job.id = live.id;
            return query select live.id, 'replaced';
        end if;
        return;
    end loop;
    return query select live.id, case on_conflict when 'return' then 'existing' else 'unique_conflict' end;
end
$$;
comment on function esteira.take_unique(text, text, text, uuid, timestamptz) is
'Internal: what becomes of a new job with a unique key, and its id: enqueued; replaced (the live job made way, and its id is to be used); existing; unique_conflict. A live job that has expired is no longer in the way.';

-- Jobs are looked at one by one, in the order of their keys, and stored together in the order given: an insert of one job costs
-- 0.4 ms, and sorting them all a tenth of the rest. Where two of them have one key, another
-- transaction's job got in between our look and our insert, or an overlapping batch came the other way, all is done again and
-- each keyed job is stored at once, in the order of the keys: the first of a key counts, and nobody meets anybody head on.
-- What another transaction has not committed yet is waited for, for a second: a little longer than deadlock_timeout.
-- Plans are kept: those for arrays of known length look a little cheaper, so that each job was planned anew.
create function esteira.enqueue_keyed(
    tasks text[], payloads jsonb[], queues text[], priorities text[], delays interval[], run_ats timestamptz[], max_attempts integer[],
    retry_firsts interval[], retry_maxes interval[], timeouts interval[], metadata jsonb[], tags jsonb[], expires_ats timestamptz[],
    unique_keys text[], on_conflicts text[], idempotency_keys text[], atomic boolean, moment timestamptz
) returns table (id uuid, queue text, outcome text)
language plpgsql
set lock_timeout = '1200ms'
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
    new record;
    answer record;
    ids uuid[];
    lanes text[];
    outcomes text[];
    fresh uuid[];
    keys text[];
    one_by_one boolean := false;
begin
    loop
        begin
            ids := array_fill(null::uuid, array[cardinality(tasks)]);
            lanes := array_fill(null::text, array[cardinality(tasks)]);
            outcomes := lanes;
            fresh := ids;
            keys := lanes;
            for new in
                select given.*, coalesce(given.queue, task.queue, 'default') as lane,
                       coalesce(given.on_conflict, task.unique_on_conflict, 'return') as policy, made.key
                from (
                    select esteira.uuid7() as id, asked.*
                    from unnest(
                        enqueue_keyed.tasks, enqueue_keyed.payloads, enqueue_keyed.queues, enqueue_keyed.priorities,
                        enqueue_keyed.delays, enqueue_keyed.run_ats, enqueue_keyed.max_attempts, enqueue_keyed.retry_firsts,
                        enqueue_keyed.retry_maxes, enqueue_keyed.timeouts, enqueue_keyed.metadata, enqueue_keyed.tags,
                        enqueue_keyed.expires_ats, enqueue_keyed.unique_keys, enqueue_keyed.on_conflicts, enqueue_keyed.idempotency_keys
                    ) with ordinality as asked (
                        task, payload, queue, priority, delay, run_at, max_attempts, retry_first, retry_max, timeout, metadata, tags,
                        expires_at, unique_key, on_conflict, idempotency_key, place)
                ) as given
                left join esteira.task as task on task.name = given.task
                cross join lateral (
                    select coalesce(given.unique_key, esteira.unique_key(coalesce(given.payload, '{}'), task.unique_fields))
                ) as made (key)
                order by made.key, case when made.key is null then given.idempotency_key end, given.place
            loop
                select new.id, 'enqueued' as outcome into answer;
                if new.idempotency_key is not null then
                    -- Seconds instead of times: their text hangs on the session's settings.
                    select * into answer
                    from esteira.remember_key(new.idempotency_key, sha256(convert_to(row(
                        new.task, coalesce(new.payload, '{}'), new.queue, new.priority, extract(epoch from new.delay),
                        extract(epoch from new.run_at), new.max_attempts, extract(epoch from new.retry_first), extract(epoch from new.retry_max),
                        extract(epoch from new.timeout), new.metadata, new.tags, extract(epoch from new.expires_at),
                        new.unique_key, new.on_conflict)::text, 'UTF8')), new.id, moment);
                end if;
                if answer.outcome = 'enqueued' and new.key is not null then
                    select * into answer from esteira.take_unique(new.task, new.key, new.policy, new.id, moment);
                    if answer.outcome in ('enqueued', 'replaced') and one_by_one then
                        perform esteira.insert_jobs(
                            array[answer.id], array[new.task], array[new.payload], array[new.queue], array[new.priority],
                            array[new.delay], array[new.run_at], array[new.max_attempts], array[new.retry_first],
                            array[new.retry_max], array[new.timeout], array[new.metadata], array[new.tags],
                            array[new.expires_at], array[new.key], moment);
                    elsif answer.outcome in ('enqueued', 'replaced') then
                        fresh[new.place] := answer.id;
                        keys[new.place] := new.key;
                    end if;
                    if new.idempotency_key is not null and answer.outcome = 'unique_conflict' then
                        delete from esteira.idempotency_key as kept where kept.key = new.idempotency_key;
                    elsif new.idempotency_key is not null and answer.id <> new.id then
                        update esteira.idempotency_key as kept set job_id = answer.id where kept.key = new.idempotency_key;
                    end if;
                elsif answer.outcome = 'enqueued' then
                    fresh[new.place] := new.id;
                end if;
                if atomic and answer.outcome = 'unique_conflict' then
                    raise exception 'job % of the task "%" has the unique key "%"%', answer.id, new.task, new.key,
                        case new.policy when 'replace' then ' and has begun, so it cannot be replaced' else '' end
                    using errcode = 'ES003';
                elsif atomic and answer.outcome = 'idempotency_mismatch' then
                    raise exception 'the idempotency key "%" was used for another request, answered by job %', new.idempotency_key, answer.id
                    using errcode = 'ES006';
                end if;
                ids[new.place] := answer.id;
                lanes[new.place] := case when answer.outcome in ('enqueued', 'replaced') then new.lane end;
                outcomes[new.place] := answer.outcome;
            end loop;
            perform esteira.insert_jobs(
                fresh, enqueue_keyed.tasks, enqueue_keyed.payloads, enqueue_keyed.queues, enqueue_keyed.priorities,
                enqueue_keyed.delays, enqueue_keyed.run_ats, enqueue_keyed.max_attempts, enqueue_keyed.retry_firsts,
                enqueue_keyed.retry_maxes, enqueue_keyed.timeouts, enqueue_keyed.metadata, enqueue_keyed.tags,
                enqueue_keyed.expires_ats, keys, moment);
            exit;
        exception
            when unique_violation or deadlock_detected then
                -- A snapshot for the whole transaction would never see what is in the way.
                if one_by_one and current_setting('transaction_isolation') <> 'read committed' then
                    raise exception 'another transaction has enqueued a job with the same key meanwhile; run this one again'
                    using errcode = 'serialization_failure';
                end if;
                one_by_one := true;
            when lock_not_available then
                raise exception 'another transaction is about to enqueue a job with the same key; ask again in a moment'
                using errcode = 'ES007';
        end;
    end loop;
    return query select * from unnest(ids, lanes, outcomes);
end
$$;
comment on function esteira.enqueue_keyed is 'Internal: enqueue_many where jobs have unique or idempotency keys.';

-- Arrays in parallel, one element a job; a null array or element means the default. `delays` and `run_ats`: the later counts.
-- `on_conflicts` says what becomes of a job whose unique key a live job of its task has: return (the live one is the answer),
-- replace (the live one takes over all that is asked for here, unless it has begun) or reject.
create function esteira.enqueue_many(
    tasks            text[],
    payloads         jsonb[] default null,
    queues           text[] default null,
    priorities       text[] default null,
    delays           interval[] default null,
    run_ats          timestamptz[] default null,
    max_attempts     integer[] default null,
    retry_firsts     interval[] default null,
    retry_maxes      interval[] default null,
    timeouts         interval[] default null,
    metadata         jsonb[] default null,
    tags             jsonb[] default null,
    expires_ats      timestamptz[] default null,
    unique_keys      text[] default null,
    on_conflicts     text[] default null,
    idempotency_keys text[] default null,
    atomic           boolean default true
) returns table (id uuid, queue text, outcome text)
language plpgsql
security definer
set search_path = pg_catalog, esteira, pg_temp
as $$
#variable_conflict use_column
declare
    moment timestamptz := esteira.now();
    wrong text;
begin
    if enqueue_many.on_conflicts is not null then
        select policy into wrong from unnest(on_conflicts) as policy where policy not in ('return', 'replace', 'reject');
        if found then
            raise exception 'on_conflict must be return, replace or reject, not "%"', wrong using errcode = 'ES004';
        end if;
    end if;
    -- Mostly all are of one task and its queue, which can be seen without a query.
    if enqueue_many.queues is null and tasks[1] = all (tasks) then
        perform esteira.check_name(tasks[1]);
    else
        perform esteira.check_name(name) from (select distinct unnest(enqueue_many.tasks || enqueue_many.queues) as name) as given;
    end if;
    if enqueue_many.priorities is not null then
        -- Here, and not only in the insert: psql would show all of that as the error's context.
        perform esteira.priority_number(name) from (select distinct unnest(enqueue_many.priorities) as name) as given;
    end if;
    if enqueue_many.unique_keys is null and enqueue_many.idempotency_keys is null
        and not exists (select from esteira.task where name = any (enqueue_many.tasks) and unique_fields is not null)
    then
        return query
        select new.id, new.queue, 'enqueued'
        from esteira.insert_jobs(
            null, enqueue_many.tasks, enqueue_many.payloads, enqueue_many.queues, enqueue_many.priorities, enqueue_many.delays,
            enqueue_many.run_ats, enqueue_many.max_attempts, enqueue_many.retry_firsts, enqueue_many.retry_maxes,
            enqueue_many.timeouts, enqueue_many.metadata, enqueue_many.tags, enqueue_many.expires_ats, null, moment) as new;
        return;
    end if;
    return query
    select *
    from esteira.enqueue_keyed(
        enqueue_many.tasks, enqueue_many.payloads, enqueue_many.queues, enqueue_many.priorities, enqueue_many.delays,
        enqueue_many.run_ats, enqueue_many.max_attempts, enqueue_many.retry_firsts, enqueue_many.retry_maxes,
        enqueue_many.timeouts, enqueue_many.metadata, enqueue_many.tags, enqueue_many.expires_ats, enqueue_many.unique_keys,
        enqueue_many.on_conflicts, enqueue_many.idempotency_keys, enqueue_many.atomic, moment);
end
$$;
comment on function esteira.enqueue_many is
'Enqueues a job for each element of tasks, in the caller''s transaction, and returns for each, in that order, its id, its queue (null where there is nothing new in it) and the outcome: enqueued; existing, replaced (a live job has the unique key); replayed (the idempotency key was used for the same within 24 h). Two outcomes are refusals, and the id that of the job in the way: unique_conflict, idempotency_mismatch; with atomic they raise ES003 and ES006 instead. Raises ES004 (a name, priority or on_conflict that makes no sense; other values are refused by constraints), ES007 (another transaction is about to enqueue the same key). Wakes nobody: call notify_workers after the commit, or let the workers'' poll find them within a second.';

-- As insert_jobs does for many, without its arrays: they and a join were a third of what one job costs the server.
create function esteira.enqueue_one(
    out id          uuid,
    task            text,
    payload         jsonb default null,
    inout queue     text default null,
    priority        text default null,
    delay           interval default null,
    run_at          timestamptz default null,
    max_attempts    integer default null,
    retry_first     interval default null,
    retry_max       interval default null,
    timeout         interval default null,
    metadata        jsonb default null,
    tags            jsonb default null,
    expires_at      timestamptz default null,
    unique_key      text default null,
    on_conflict     text default null,
    idempotency_key text default null,
    atomic          boolean default true,
    notify          boolean default false,
    out outcome     text,
    out notified    boolean
)
language plpgsql
security definer
set search_path = pg_catalog, esteira, pg_temp
as $$
#variable_conflict use_variable
declare
    moment timestamptz := esteira.now();
    level smallint;
    declared_queue text;
    declared_priority smallint;
    declared_unique text[];
    labels text[] := '{}';
    due timestamptz;
begin
    select t.queue, t.priority, t.unique_fields into declared_queue, declared_priority, declared_unique
    from esteira.task as t
    where t.name = task;
    if not found then
        -- Of one that a worker has declared, the name was checked then.
        perform esteira.check_name(task);
    end if;
    if coalesce(unique_key, idempotency_key, on_conflict) is not null or declared_unique is not null then
        -- As one of many: they take a longer way.
        select many.queue, many.id, many.outcome into queue, id, outcome
        from esteira.enqueue_many(
            array[task], array[payload], array[queue], array[priority], array[delay], array[run_at], array[max_attempts],
            array[retry_first], array[retry_max], array[timeout], array[metadata], array[tags], array[expires_at],
            case when unique_key is not null then array[unique_key] end, array[on_conflict],
            case when idempotency_key is not null then array[idempotency_key] end, atomic) as many;
    else
        if queue is not null then
            perform esteira.check_name(queue);
        end if;
        level := esteira.priority_number(priority);
        due := greatest(run_at, moment + delay, moment);
        queue := coalesce(queue, declared_queue, 'default');
        if tags is not null then
            labels := array(select jsonb_array_elements_text(tags));
        end if;
        id := esteira.uuid7();
        outcome := 'enqueued';
        insert into esteira.job_live (
            id, queue, task, priority, max_attempts, retry_first_seconds, retry_max_seconds, timeout_seconds,
            created_at, updated_at, run_at, ready_at, expires_at, tags, metadata, payload)
        values (
            id, queue, task, coalesce(level, declared_priority, 1),
            max_attempts, extract(epoch from retry_first), extract(epoch from retry_max), extract(epoch from timeout),
            moment, moment, due, due, expires_at,
            labels, coalesce(metadata, '{}'), coalesce(payload, '{}'));
    end if;
    -- Commits that notify queue up behind one lock, each until it is on the disk: of those that come this way, one at a time does.
    notified := coalesce(notify, false) and queue is not null and pg_try_advisory_xact_lock(hashtext('esteira.notify'));
    if notified then
        perform esteira.notify_workers(array[queue]);
    end if;
end
$$;
comment on function esteira.enqueue_one is
'Enqueues one job, with the arguments, outcomes and errors of enqueue_many (tags: a JSON array of strings), and in less time than that takes for one. With notify the commit wakes the workers, unless another transaction that is under way does so. Where queue is not null and notified is not true, call notify_workers after the commit, or let the workers'' poll find the job within a second.';

create function esteira.enqueue(
    task            text,
    payload         jsonb default '{}',
    queue           text default null,
    priority        text default null,
    delay           interval default null,
    run_at          timestamptz default null,
    max_attempts    integer default null,
    retry_first     interval default null,
    retry_max       interval default null,
    timeout         interval default null,
    metadata        jsonb default null,
    tags            text[] default null,
    expires_at      timestamptz default null,
    unique_key      text default null,
    on_conflict     text default null,
    idempotency_key text default null,
    notify          boolean default true
) returns uuid
language plpgsql
security definer
set search_path = pg_catalog, esteira, pg_temp
as $$
#variable_conflict use_variable
declare
    new record;
begin
    select * into new
    from esteira.enqueue_one(
        task, payload, queue, priority, delay, run_at, max_attempts, retry_first, retry_max, timeout, metadata, to_jsonb(tags),
        expires_at, unique_key, on_conflict, idempotency_key);
    if notify and new.queue is not null then
        perform esteira.notify_workers(array[new.queue]);
    end if;
    return new.id;
end
$$;
comment on function esteira.enqueue is
'Enqueues a job in the caller''s transaction and returns its id: select esteira.enqueue(''billing.fulfil'', ''{"id": 1}'', delay => ''5 min''). With a unique_key that a live job of the task has, on_conflict says what happens: return (that job''s id, the default), replace, reject (raises ES003). The same idempotency_key within 24 h returns the same job. Where many clients commit many jobs at once, say notify => false, and call notify_workers after the commit: a commit that notifies takes a lock of the whole server.';

-- A notification is a hint: workers poll every second anyway. Commits that notify queue up behind one lock of the whole server, each
-- until it is on the disk (16 clients: 6,200 jobs/s and 2,500, and 400 where a flush takes 2 ms); a transaction that only notifies
-- waits for no disk. Where jobs are few it saves a round trip within the one that enqueues: enqueue_one does that for one at a time.
-- No job is to be refused because somebody does not read his notifications, and they fill their place.
create function esteira.notify_workers(queues text[]) returns void
language sql
security definer
set search_path = pg_catalog, esteira, pg_temp
as $$
select pg_notify('esteira', name)
from (select distinct unnest(queues)) as queue (name)
where name is not null and pg_notification_queue_usage() < 0.5
$$;
comment on function esteira.notify_workers(text[]) is
'Tells the workers that these queues have something new. Call it after the commit, in a transaction of its own: in yours it is heard at the commit, which waits for those of others that notify.';

-- Takes up to `wanted` ready jobs, the lanes in the order given: a lane is a queue and a priority, with a floor.
--
-- The floor is the (ready_at, id) that the calling engine claimed last in that lane. Entries of jobs that were taken stay in
-- the index while any snapshot could see them; a claim that starts at the head steps over all of them, again and again
-- (37,000 → 4,400 claims/s over eight rounds under a held snapshot). Starting at the floor it steps over none (50,000, flat).
-- What lies below the floor (late commits, rolled-back claims) is found by a sweep: the same call with floors of -infinity.
--
-- Both parts of the floor are needed: jobs of one bulk insert tie on ready_at (42,000 claims/s by time alone, 210,000 by the pair).
-- One lateral index scan a lane, in the index's order: `queue = any(…) order by` sorts every ready row (10 ms of 30,000; 0.15 ms).
-- The outer limit stops pulling, so no more rows are locked than are taken. Rows are updated by ctid, since ids would be
-- looked up anew, and an `id in (select … limit … skip locked)` locked 50 rows for a limit of 1 under some plans.
-- Plans are pinned: one cached while the table held 20 rows went on sorting 170,000.
create function esteira.claim(
    worker_id    uuid,
    engine       integer,
    wanted       integer,
    tasks        text[],
    queues       text[],
    priorities   smallint[],
    floor_times  timestamptz[],
    floor_ids    uuid[]
) returns table (
    id uuid, queue text, task text, priority smallint, ready_at timestamptz, payload jsonb, attempt integer,
    failures integer, crashes integer, timeout_seconds double precision, claimed_at timestamptz)
language plpgsql
security definer
set search_path = pg_catalog, esteira, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
    moment timestamptz := esteira.now();
    paused_queues text[] := array(select queue.name from esteira.queue as queue where queue.paused_at is not null);
    paused_tasks text[] := array(select task.name from esteira.task as task where task.paused_at is not null);
    able text[] := tasks;
begin
    if cardinality(paused_tasks) > 0 then
        able := array(select name from unnest(tasks) as name where name <> all (paused_tasks));
    end if;
    return query
    with ready as materialized (
        select candidate.ctid
        from unnest(claim.queues, claim.priorities, claim.floor_times, claim.floor_ids) as lane (queue, priority, floor_time, floor_id)
        cross join lateral (
            select job.ctid
            from esteira.job_live as job
            where job.status = 'queued'
              and lane.queue <> all (paused_queues)
              and cardinality(able) > 0
              and job.queue = lane.queue
              and job.priority = lane.priority
              and job.ready_at <= moment
              and (job.ready_at, job.id) > (lane.floor_time, lane.floor_id)
              and job.task = any (able)
              and (job.expires_at is null or job.expires_at > moment or job.attempt > 0)
            order by job.ready_at, job.id
            limit claim.wanted
            for update of job skip locked
        ) as candidate
        limit claim.wanted
    )
    update esteira.job_live as job
    set status = 'running', attempt = job.attempt + 1, worker_id = claim.worker_id, engine = claim.engine,
        started_at = moment, updated_at = moment
    where job.ctid = any (array(select ready.ctid from ready))
    returning job.id, job.queue::text, job.task::text, job.priority::smallint, job.ready_at::timestamptz, job.payload, job.attempt::integer,
              job.failures::integer, job.crashes::integer, job.timeout_seconds::double precision, job.started_at;
    if not found then
        return query select null::uuid, null::text, null::text, null::smallint, null::timestamptz, null::jsonb, null::integer,
                            null::integer, null::integer, null::double precision, moment;
    end if;
end
$$;
comment on function esteira.claim is
'Makes up to `wanted` ready jobs of these tasks running jobs of this engine, lane by lane, and returns them in no particular order. With nothing to take it returns one row that is null but for claimed_at, the queue''s clock.';

-- The clock is read once, beside the scan: as a volatile condition it would be no bound of the index, and every ready job
-- would be read first (35 ms of 100,000).
create function esteira.next_ready_at(queues text[], tasks text[]) returns timestamptz
language sql
security definer
set search_path = pg_catalog, esteira, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
as $$
select min(coming.ready_at)
from (select esteira.now() offset 0) as clock (moment)
cross join unnest(queues) as lane (queue)
cross join generate_series(0, 3) as level (priority)
cross join lateral (
    select job.ready_at
    from esteira.job_live as job
    where job.status = 'queued' and job.queue = lane.queue and job.priority = level.priority::smallint
      and job.ready_at > clock.moment and job.task = any (tasks)
    order by job.ready_at
    limit 1
) as coming
$$;
comment on function esteira.next_ready_at(text[], text[]) is
'When the next future job of these queues and tasks becomes ready, so that an idle engine is there at that moment; null if there is none.';

-- Hops from one queue to the next along the index instead of reading every queued row for a `select distinct`. Known queues are
-- stepped over as a whole: entries of jobs that were taken stay in the index while any snapshot could see them, and to find out
-- that none of 700,000 was queued any more took 85 ms.
create function esteira.ready_queues(known text[] default '{}') returns setof text
language sql stable
security definer
set search_path = pg_catalog, esteira, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
as $$
with recursive hop (queue, before, is_known) as (
    select name, lead(name) over (order by name), true
    from (select '' union select unnest(known)) as given (name)
    where name is not null
    union all
    select
        case
            when hop.before is null then (
                select job.queue::text from esteira.job_live as job
                where job.status = 'queued' and job.queue > hop.queue order by job.queue limit 1)
            else (
                select job.queue::text from esteira.job_live as job
                where job.status = 'queued' and job.queue > hop.queue and job.queue < hop.before order by job.queue limit 1)
        end,
        hop.before, false
    from hop
    where hop.queue is not null
)
select queue from hop where queue is not null and not is_known
$$;
comment on function esteira.ready_queues(text[]) is 'The queues that hold queued jobs, ready or not, but for those that are known.';

-- The settle. One statement moves the jobs: a DELETE that had to wait (for a handler's own transaction) looks at the row again, with the fence
-- (attempt, status), before it takes it. Rows are looked up by primary key and in id order, so that overlapping batches cannot
-- deadlock. Jobs that are queued again are not waited for, since cancel_many locks those first and the running ones then. Never
-- by ctid: a row that moved while we waited would look like a lost lease. Locking the rows in a statement of its own first was
-- 1.5 of 11 µs a job. What was noted beside the job is merged by a second statement, which sees what the first waited for.
-- With these plans off each batch is a walk through its own ids, joined by hash, whatever the statistics say: other plans were
-- chosen that walk the whole index, or compare each job with each.
create function esteira.complete(ids uuid[], attempts integer[], results jsonb[] default null, result_errors text[] default null) returns setof uuid
language plpgsql
security definer
set search_path = pg_catalog, esteira, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set enable_nestloop = off
set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
    moment timestamptz := esteira.now();
    completed uuid[];
begin
    perform esteira.make_day(moment);
    with settled as (
        select id, attempt, case when complete.results is null then 'null' else result end as result, result_error
        from unnest(complete.ids, complete.attempts, complete.results, complete.result_errors) as settled (id, attempt, result, result_error)
        order by id
    ), gone as (
        delete from esteira.job_live as job
        using settled
        where job.id = any (complete.ids) and job.id = settled.id and job.attempt = settled.attempt and job.status = 'running'
        returning job.*, settled.result as new_result, settled.result_error as new_result_error
    ), ended as (
        insert into esteira.job_finished (
            id, queue, task, priority, status, attempt, failures, crashes, generation, max_attempts, engine, worker_id,
            retry_first_seconds, retry_max_seconds, timeout_seconds, created_at, updated_at, run_at, ready_at, expires_at, started_at,
            finished_at, progress, progress_message, current_step, unique_key, tags, metadata, result_error, payload, result)
        select
            id, queue, task, priority, 'completed', attempt, failures, crashes, generation, max_attempts, engine, worker_id,
            retry_first_seconds, retry_max_seconds, timeout_seconds, created_at, moment, run_at, ready_at, expires_at, started_at,
            moment, 1, progress_message, current_step, unique_key, tags, metadata, new_result_error, payload, new_result
        from gone
        returning id
    )
    select array_agg(id) into completed from ended;

    with noted as (
        delete from esteira.activity as activity
        where activity.job_id = any (completed)
        returning activity.job_id, activity.progress_message, activity.current_step
    )
    update esteira.job_finished as job
    set progress_message = coalesce(noted.progress_message, job.progress_message),
        current_step = coalesce(noted.current_step, job.current_step)
    from noted
    where job.id = noted.job_id and job.finished_at = moment;

    return query select unnest(completed);
end
$$;
comment on function esteira.complete(uuid[], integer[], jsonb[], text[]) is
'Completes running jobs with their results (none: JSON null for each), each if it still is at that attempt, and returns the ids completed. An id that does not come back is a lost lease: roll back whatever else the transaction did for it.';

create function esteira.fail(
    id uuid, attempt integer, error jsonb, traceback text default null, retryable boolean default true, outcome text default 'failed'
) returns text
language plpgsql
security definer
set search_path = pg_catalog, esteira, pg_temp
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    moment timestamptz := esteira.now();
    final boolean;
    pause interval;
    told jsonb := coalesce(error, '{"type": "Error", "message": "it gave no reason"}');
begin
    if jsonb_typeof(told -> 'type') is distinct from 'string' or jsonb_typeof(told -> 'message') is distinct from 'string' then
        raise exception 'an error is an object {"type": "…", "message": "…"}, not %', told using errcode = 'ES004';
    end if;
    perform from esteira.job_live as job
    where job.id = fail.id and job.attempt = fail.attempt and job.status = 'running'
    for update;
    if not found then
        return null;
    end if;
    perform esteira.record_attempt(array[id], outcome, told, traceback, moment);

    -- Where esteira.tally ends, it stays.
    update esteira.job_live as job
    set failures = least(job.failures + 1, 999999999),
        error = told || jsonb_build_object('attempt', job.attempt, 'at', moment)
    where job.id = fail.id;

    select job.failures >= coalesce(job.max_attempts, task.max_attempts, 3),
           esteira.backoff(
               job.failures,
               coalesce(job.retry_first_seconds, task.retry_first_seconds, 5),
               coalesce(job.retry_max_seconds, task.retry_max_seconds, 3600))
    into final, pause
    from esteira.job_live as job
    left join esteira.task as task on task.name = job.task
    where job.id = fail.id;

    -- A cancel that was asked for beats the dead letter: requeue sees to it.
    if (final or not retryable) and not exists (
        select from esteira.activity where job_id = fail.id and cancel_requested_at is not null)
    then
        perform esteira.finish(array[id], 'dead', case when retryable then 'attempts_exhausted' else 'not_retryable' end, moment);
    else
        perform esteira.requeue(array[id], moment + pause, moment);
    end if;
    return (select job.status from esteira.job as job where job.id = fail.id order by job.updated_at desc limit 1);
end
$$;
comment on function esteira.fail is
'Ends a running attempt with an error {type, message}: back to its queue after the backoff, or dead at its last failure or when it is not retryable. Returns the status after it (queued, dead, or cancelled where that had been asked for); null if the lease was lost.';

create function esteira.snooze(id uuid, attempt integer, delay interval) returns text
language plpgsql
security definer
set search_path = pg_catalog, esteira, pg_temp
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    moment timestamptz := esteira.now();
begin
    perform from esteira.job_live as job
    where job.id = snooze.id and job.attempt = snooze.attempt and job.status = 'running'
    for update;
    if not found then
        return null;
    end if;
    perform esteira.record_attempt(array[id], 'snoozed', null, null, moment);
    perform esteira.requeue(array[id], moment + delay, moment);
    return (select job.status from esteira.job as job where job.id = snooze.id order by job.updated_at desc limit 1);
end
$$;
comment on function esteira.snooze(uuid, integer, interval) is
'Puts a running job back until the delay is over; no failure is charged. Returns the status after it; null if the lease was lost.';

create function esteira.release(ids uuid[], attempts integer[]) returns integer
language plpgsql
security definer
set search_path = pg_catalog, esteira, pg_temp
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    moment timestamptz := esteira.now();
    owned uuid[];
begin
    with held as materialized (
        select job.id, job.attempt
        from esteira.job_live as job
        where job.id = any (release.ids) and job.status = 'running'
        order by job.id
        for update
    )
    select array_agg(held.id) into owned
    from held
    join unnest(release.ids, release.attempts) as given (id, attempt) using (id, attempt);
    perform esteira.record_attempt(owned, 'released', null, null, moment);
    perform esteira.requeue(owned, null, moment);
    return coalesce(cardinality(owned), 0);
end
$$;
comment on function esteira.release(uuid[], integer[]) is
'Puts running jobs back unfinished, uncharged: a worker that shuts down. Returns how many it still held.';

-- A running job's row may be held by its handler's completing transaction: that is waited for, but not for long.
create function esteira.edit(
    id              uuid,
    priority        text default null,
    queue           text default null,
    run_at          timestamptz default null,
    tags            text[] default null,
    metadata        jsonb default null,
    payload         jsonb default null,
    unchanged_since timestamptz default null
) returns text
language plpgsql
security definer
set search_path = pg_catalog, esteira, pg_temp
set enable_seqscan = off
set lock_timeout = '2s'
as $$
#variable_conflict use_column
declare
    moment timestamptz;
    moves boolean := num_nonnulls(edit.priority, edit.queue, edit.run_at) > 0;
    job esteira.job;
    key text;
begin
    perform esteira.check_name(edit.queue);
    -- It may be on its way from one partition to another: then it is not found, but still there.
    loop
        select * into job from esteira.job as seen where seen.id = edit.id for no key update;
        exit when found;
        perform esteira.missing(edit.id) where not exists (select from esteira.job as seen where seen.id = edit.id);
    end loop;
    moment := esteira.now();
    if unchanged_since <> greatest(
        job.updated_at, (select activity.updated_at from esteira.activity as activity where activity.job_id = edit.id))
    then
        raise exception 'job % has changed meanwhile', edit.id using errcode = 'ES008';
    elsif moves and job.status not in ('queued', 'waiting') then
        raise exception 'job % is %, so its priority, queue and run_at stay as they are', edit.id, job.status using errcode = 'ES002';
    elsif edit.payload is not null and (job.attempt > 0 or job.status not in ('queued', 'waiting')) then
        raise exception 'job % has begun, so its payload stays as it is', edit.id using errcode = 'ES002';
    end if;
    -- A key that was made of the payload follows it.
    select esteira.unique_key(edit.payload, task.unique_fields) into key
    from esteira.task as task
    where task.name = job.task and esteira.unique_key(job.payload, task.unique_fields) = job.unique_key;
    update esteira.job as job
    set priority = coalesce(esteira.priority_number(edit.priority), job.priority),
        queue = coalesce(edit.queue, job.queue),
        run_at = case when edit.run_at is null then job.run_at else greatest(edit.run_at, moment) end,
        -- Above every floor of the lane that it stands in now.
        ready_at = case when moves then greatest(coalesce(edit.run_at, job.run_at), moment) else job.ready_at end,
        tags = coalesce(edit.tags, job.tags),
        metadata = coalesce(edit.metadata, job.metadata),
        payload = coalesce(edit.payload, job.payload),
        unique_key = coalesce(key, job.unique_key),
        updated_at = moment
    where job.id = edit.id;
    return job.status;
exception
    when lock_not_available then
        raise exception 'job % is being changed by another transaction; try again in a moment', edit.id using errcode = 'ES002';
    when unique_violation then
        raise exception 'with this payload job % would have the unique key "%", and so has a live job of its task', edit.id, key
        using errcode = 'ES003';
end
$$;
comment on function esteira.edit is
'Changes what is given and leaves the rest: tags and metadata at any time, priority, queue and run_at before the job runs (also before it runs again), payload before its first attempt (and with it the unique key that was made of it). Returns the status. Raises ES001 (no such job), ES002 (another status), ES003 (a live job has that unique key), ES004 (a value makes no sense), ES008 (updated_at is not unchanged_since).';

-- A running job is only asked: the flag goes beside the row. `for key share` keeps the job from ending in between, yet
-- does not wait for a handler's open completing transaction, which holds no more than `for no key update`.
-- A job may begin or go back to its queue between two looks, so they are repeated until each has its answer.
create function esteira.cancel_many(ids uuid[], reason text default 'cancelled') returns table (id uuid, status text)
language plpgsql
security definer
set search_path = pg_catalog, esteira, pg_temp
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    moment timestamptz;
    open uuid[] := ids;
    stopped uuid[];
    asked uuid[];
begin
    loop
        stopped := array(
            select job.id from esteira.job_live as job
            where job.id = any (open) and job.status in ('queued', 'waiting')
            order by job.id
            for update);
        -- After the wait: it may have been claimed and given back meanwhile, and does not end before it began.
        moment := esteira.now();
        if cardinality(stopped) > 0 then
            perform esteira.finish(stopped, 'cancelled', cancel_many.reason, moment);
        end if;
        return query select done, 'cancelled' from unnest(stopped) as done;
        begin
            asked := array(
                select job.id from esteira.job_live as job
                where job.id = any (open) and job.status = 'running'
                order by job.id
                for key share);
            open := array(
                select job.id from esteira.job_live as job
                where job.id = any (open) and job.id not in (select unnest(asked)));
            if cardinality(open) > 0 then
                raise exception using errcode = 'ES000';
            end if;
            insert into esteira.activity as activity (job_id, attempt, progress, updated_at, cancel_requested_at)
            select job.id, job.attempt, job.progress, moment, moment from esteira.job_live as job where job.id = any (asked) order by job.id
            on conflict (job_id) do update
            set cancel_requested_at = coalesce(activity.cancel_requested_at, excluded.cancel_requested_at);
            return query select done, 'running' from unnest(asked) as done;
            return;
        -- Whoever waited for a job that went back to its queue meanwhile holds it all the same, and so may others who came to
        -- cancel it: as long as each holds it none of them can. So all is let go.
        exception when sqlstate 'ES000' then
            open := ids;
        end;
    end loop;
end
$$;
comment on function esteira.cancel_many(uuid[], text) is
'Cancels those of these jobs that are queued or waiting (status cancelled) and asks the running ones to stop (status running). Those that have ended, or never were, are left out of the answer.';

create function esteira.cancel(id uuid) returns text
language plpgsql
security definer
set search_path = pg_catalog, esteira, pg_temp
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    answer text;
begin
    -- Retried between the two looks, it lives again.
    loop
        select cancelled.status into answer from esteira.cancel_many(array[cancel.id]) as cancelled;
        if found then
            return answer;
        end if;
        select job.status into answer from esteira.job as job where job.id = cancel.id;
        if not found then
            perform esteira.missing(cancel.id);
        elsif answer in ('completed', 'dead', 'cancelled') then
            raise exception 'job % is %, so there is nothing to cancel', cancel.id, answer using errcode = 'ES002';
        end if;
    end loop;
end
$$;
comment on function esteira.cancel(uuid) is
'Cancels a queued or waiting job at once and returns cancelled; asks a running one to stop and returns running. Raises ES001 (no such job), ES002 (it has ended).';

create function esteira.acknowledge_cancel(id uuid, attempt integer) returns text
language plpgsql
security definer
set search_path = pg_catalog, esteira, pg_temp
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    moment timestamptz := esteira.now();
begin
    perform from esteira.job_live as job
    where job.id = acknowledge_cancel.id and job.attempt = acknowledge_cancel.attempt and job.status = 'running'
    for update;
    if not found then
        return null;
    end if;
    perform esteira.record_attempt(array[id], 'cancelled', null, null, moment);
    perform esteira.finish(array[id], 'cancelled', 'cancelled', moment);
    return 'cancelled';
end
$$;
comment on function esteira.acknowledge_cancel(uuid, integer) is
'The worker''s word that it stopped a running job that somebody cancelled. Returns cancelled; null if the lease was lost.';

-- Inserts first and removes what was inserted: a job whose unique key a live one has stays where it is. Rows are locked in the
-- order of their ids and keys inserted in their own, so that overlapping calls cannot deadlock.
create function esteira.retry_many(ids uuid[]) returns table (id uuid, queue text)
language plpgsql
security definer
set search_path = pg_catalog, esteira, pg_temp
set enable_seqscan = off
set lock_timeout = '1s'
as $$
#variable_conflict use_column
declare
    moment timestamptz := esteira.now();
begin
    return query
    with ended as materialized (
        select job.*
        from esteira.job as job
        where job.id = any (retry_many.ids) and job.status in ('dead', 'cancelled')
        order by job.id
        for update
    ), retried as (
        insert into esteira.job_live as job (
            id, queue, task, priority, attempt, generation, max_attempts, retry_first_seconds, retry_max_seconds, timeout_seconds,
            created_at, updated_at, run_at, ready_at, progress, progress_message, current_step, unique_key, tags, metadata, error, payload)
        select
            id, queue, task, priority, attempt, generation + 1, max_attempts, retry_first_seconds, retry_max_seconds, timeout_seconds,
            created_at, moment, moment, moment, progress, progress_message, current_step, unique_key, tags, metadata, error, payload
        from ended
        order by unique_key, id
        on conflict (task, unique_key) where unique_key is not null do nothing
        returning job.id, job.queue
    -- By their ids, not by a join: with an old plan that compared each with each (10,000 jobs: two minutes).
    ), dead as (
        delete from esteira.job_dead as job where job.id = any (array(select retried.id from retried))
    ), cancelled as (
        delete from esteira.job_finished as job
        where job.status = 'cancelled' and job.id = any (array(select retried.id from retried))
    )
    select retried.id, retried.queue::text from retried;
exception when lock_not_available then
    raise exception 'another transaction changes one of these jobs, or is about to enqueue one with the same key; ask again in a moment'
    using errcode = 'ES007';
end
$$;
comment on function esteira.retry_many(uuid[]) is
'Begins the next generation of those of these jobs that are dead or cancelled, and returns their ids and queues: failures and crashes at 0, no expiry, finished steps kept, the attempt number goes on rising. Of jobs with the same unique key one is retried, unless a live job has it. Wakes nobody. Raises ES007 (another transaction is about to enqueue the same key).';

create function esteira.retry(id uuid) returns uuid
language plpgsql
security definer
set search_path = pg_catalog, esteira, pg_temp
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    seen esteira.job;
begin
    -- It may end between the two looks, and so may the live job that has its key.
    loop
        perform esteira.retry_many(array[retry.id]);
        if found then
            return id;
        end if;
        select * into seen from esteira.job as job where job.id = retry.id;
        if not found then
            perform esteira.missing(retry.id);
        elsif seen.status not in ('dead', 'cancelled') then
            raise exception 'job % is %; only dead and cancelled jobs can be retried', retry.id, seen.status using errcode = 'ES002';
        elsif exists (select from esteira.job_live as job where job.task = seen.task and job.unique_key = seen.unique_key) then
            raise exception 'job % has the unique key "%", and so has a live job of its task', retry.id, seen.unique_key using errcode = 'ES003';
        end if;
    end loop;
end
$$;
comment on function esteira.retry(uuid) is
'Begins the next generation of a dead or cancelled job: failures and crashes at 0, no expiry, finished steps kept, the attempt number goes on rising. Returns its id; raises ES001 (no such job), ES002 (another status), ES003 (a live job has its unique key).';

create function esteira.discard_many(ids uuid[]) returns setof uuid
language sql
security definer
set search_path = pg_catalog, esteira, pg_temp
set enable_seqscan = off
as $$
with dead as materialized (
    select job.id from esteira.job_dead as job where job.id = any (discard_many.ids) order by job.id for update
), gone as (
    delete from esteira.job_dead as job using dead where job.id = dead.id returning job.id
), steps as (
    delete from esteira.step as step using gone where step.job_id = gone.id
), attempts as (
    delete from esteira.attempt as attempt using gone where attempt.job_id = gone.id
)
select gone.id from gone
$$;
comment on function esteira.discard_many(uuid[]) is
'Removes those of these jobs that are dead, with their steps and attempts, for good; returns their ids.';

create function esteira.discard(id uuid) returns uuid
language plpgsql
security definer
set search_path = pg_catalog, esteira, pg_temp
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    seen text;
begin
    -- It may die between the two looks.
    loop
        perform esteira.discard_many(array[discard.id]);
        if found then
            return id;
        end if;
        select job.status into seen from esteira.job as job where job.id = discard.id;
        if not found then
            perform esteira.missing(discard.id);
        elsif seen <> 'dead' then
            raise exception 'job % is %; only dead jobs can be discarded', discard.id, seen using errcode = 'ES002';
        end if;
    end loop;
end
$$;
comment on function esteira.discard(uuid) is
'Removes a dead job with its steps and attempts, for good. Returns its id; raises ES001 (no such job), ES002 (another status).';

create function esteira.purge(queue text, batch integer default 10000) returns integer
language sql
security definer
set search_path = pg_catalog, esteira, pg_temp
set enable_seqscan = off
set jit = off
as $$
select count(*)::integer
from esteira.cancel_many(
    array(
        select id
        from (
            select id
            from (
                select job.id from esteira.job_live as job
                where job.queue = purge.queue and job.status = 'queued'
                limit purge.batch
                for update skip locked) as queued
            union all
            select id
            from (
                select job.id from esteira.job_live as job
                where job.queue = purge.queue and job.status = 'waiting'
                limit purge.batch
                for update skip locked) as waiting
        ) as job
        limit purge.batch),
    'purged') as purged
where purged.status = 'cancelled'
$$;
comment on function esteira.purge(text, integer) is
'Cancels the jobs of a queue that do not run, at most a batch of them, reason purged; returns how many. Repeat it until it returns 0. They can be retried like any cancelled job.';

create function esteira.pause(queue text) returns timestamptz
language sql
security definer
set search_path = pg_catalog, esteira, pg_temp
as $$
insert into esteira.queue as queue (name, created_at, paused_at)
values (pause.queue, esteira.now(), esteira.now())
on conflict (name) do update set paused_at = coalesce(queue.paused_at, excluded.paused_at)
returning paused_at
$$;
comment on function esteira.pause(text) is
'Claims that begin after its commit take nothing of this queue; what runs goes on. Returns since when.';

-- The jobs lie below the engines' floors by now: "*" tells them to begin anew.
create function esteira.resume(queue text) returns boolean
language sql
security definer
set search_path = pg_catalog, esteira, pg_temp
as $$
with resumed as (
    update esteira.queue as queue set paused_at = null
    where queue.name = resume.queue and queue.paused_at is not null
    returning pg_notify('esteira', '*')
)
select count(*) > 0 from resumed
$$;
comment on function esteira.resume(text) is 'Ends the pause of a queue and tells the workers; false if it was not paused.';

create function esteira.pause_task(task text) returns timestamptz
language plpgsql
security definer
set search_path = pg_catalog, esteira, pg_temp
as $$
#variable_conflict use_column
declare
    since timestamptz;
begin
    update esteira.task as task
    set paused_at = coalesce(task.paused_at, esteira.now())
    where task.name = pause_task.task
    returning task.paused_at into since;
    if not found then
        raise exception 'no worker has declared the task "%"', pause_task.task using errcode = 'ES009';
    end if;
    return since;
end
$$;
comment on function esteira.pause_task(text) is
'Claims that begin after its commit take no job of this task, in whatever queue; what runs goes on. Returns since when; raises ES009 (no such task).';

create function esteira.resume_task(task text) returns boolean
language plpgsql
security definer
set search_path = pg_catalog, esteira, pg_temp
as $$
#variable_conflict use_column
declare
    since timestamptz;
begin
    select task.paused_at into since from esteira.task as task where task.name = resume_task.task for update;
    if not found then
        raise exception 'no worker has declared the task "%"', resume_task.task using errcode = 'ES009';
    end if;
    update esteira.task as task set paused_at = null where task.name = resume_task.task and since is not null;
    perform pg_notify('esteira', '*') where since is not null;
    return since is not null;
end
$$;
comment on function esteira.resume_task(text) is
'Ends the pause of a task and tells the workers; false if it was not paused. Raises ES009 (no such task).';

create function esteira.expire(batch integer default 5000) returns integer
language plpgsql
security definer
set search_path = pg_catalog, esteira, pg_temp
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    moment timestamptz := esteira.now();
    late uuid[];
begin
    late := array(
        select job.id from esteira.job_live as job
        where job.expires_at <= moment and job.attempt = 0 and job.status <> 'running'
        order by job.expires_at
        limit expire.batch
        for update skip locked);
    if cardinality(late) > 0 then
        perform esteira.finish(late, 'cancelled', 'expired', moment);
    end if;
    return cardinality(late);
end
$$;
comment on function esteira.expire(integer) is
'Cancels jobs that have not begun by their expires_at, at most a batch of them, reason expired; returns how many. The tick calls it; claims pass such jobs over anyway.';

-- The fence at the begin of a handler's completing transaction: nobody can take the job back until it ends, and the
-- settle at its end is sure to find the row. Progress and cancel requests go beside the row, so they do not wait.
create function esteira.hold(id uuid, attempt integer) returns boolean
language plpgsql
security definer
set search_path = pg_catalog, esteira, pg_temp
set enable_seqscan = off
as $$
#variable_conflict use_column
begin
    perform from esteira.job_live as job
    where job.id = hold.id and job.attempt = hold.attempt and job.status = 'running'
    for no key update;
    return found;
end
$$;
comment on function esteira.hold(uuid, integer) is
'Locks a running job for the rest of the transaction, if it still is at that attempt; false is a lost lease.';

-- The insert selects from a locked row: a plain `exists` let the step of a given-up worker commit after the next claim.
-- `for update`: whoever notes progress or asks to cancel meanwhile waits for the job, holding nothing. With less they held the job and waited
-- for its activity, which this transaction has written: where it then completed the job, each waited for the other.
create function esteira.save_step(
    job_id uuid, attempt integer, name text, result jsonb, started_at timestamptz, progress real default null
) returns boolean
language plpgsql
security definer
set search_path = pg_catalog, esteira, pg_temp
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    moment timestamptz := esteira.now();
begin
    with held as materialized (
        select job.id
        from esteira.job_live as job
        where job.id = save_step.job_id and job.attempt = save_step.attempt and job.status = 'running'
        for update
    )
    insert into esteira.step as step (job_id, name, attempt, result, started_at, finished_at)
    select held.id, save_step.name, save_step.attempt, save_step.result, save_step.started_at, moment
    from held
    -- The same attempt may save it again: the reply to the first time was lost.
    on conflict (job_id, name) do update
    set result = excluded.result, started_at = excluded.started_at, finished_at = excluded.finished_at
    where step.attempt = excluded.attempt;
    if not found then
        return false;
    end if;
    insert into esteira.activity as activity (job_id, attempt, progress, current_step, updated_at)
    values (
        save_step.job_id, save_step.attempt,
        coalesce(save_step.progress, (select job.progress from esteira.job_live as job where job.id = save_step.job_id)),
        save_step.name, moment)
    on conflict (job_id) do update
    set attempt = excluded.attempt,
        progress = coalesce(save_step.progress, activity.progress),
        current_step = excluded.current_step,
        updated_at = excluded.updated_at;
    return true;
end
$$;
comment on function esteira.save_step(uuid, integer, text, jsonb, timestamptz, real) is
'Stores the result of a finished step, and with it the job''s progress (0 to 1; null: as it was) and current step; false is a lost lease.';

create function esteira.progress(job_id uuid, attempt integer, progress real default null, message text default null, step text default null)
returns boolean
language plpgsql
security definer
set search_path = pg_catalog, esteira, pg_temp
set enable_seqscan = off
as $$
#variable_conflict use_column
begin
    perform from esteira.job_live as job
    where job.id = progress.job_id and job.attempt = progress.attempt and job.status = 'running'
    for key share;
    if not found then
        return false;
    end if;
    insert into esteira.activity as activity (job_id, attempt, progress, progress_message, current_step, updated_at)
    values (
        progress.job_id, progress.attempt,
        coalesce(progress.progress, (select job.progress from esteira.job_live as job where job.id = progress.job_id)),
        progress.message, progress.step, esteira.now())
    on conflict (job_id) do update
    set attempt = excluded.attempt,
        progress = coalesce(progress.progress, activity.progress),
        progress_message = coalesce(progress.message, activity.progress_message),
        current_step = coalesce(progress.step, activity.current_step),
        updated_at = excluded.updated_at;
    return true;
end
$$;
comment on function esteira.progress(uuid, integer, real, text, text) is
'Notes how far a running job is (0 to 1), with a message and the step it is in; null leaves a value as it was. False is a lost lease.';

create function esteira.register(
    worker_id uuid, hostname text, pid integer, version text, queues text[], engines integer, slots integer, tasks jsonb
) returns void
language plpgsql
security definer
set search_path = pg_catalog, esteira, pg_temp
as $$
#variable_conflict use_column
declare
    moment timestamptz := esteira.now();
begin
    perform esteira.check_name(declared ->> 'name'), esteira.check_name(declared ->> 'queue')
    from jsonb_array_elements(register.tasks) as declared;

    insert into esteira.task as task (
        name, version, queue, priority, max_attempts, retry_first_seconds, retry_max_seconds, timeout_seconds,
        executor, steps, payload_schema, unique_fields, unique_on_conflict, declared_at)
    select
        name, version, queue, esteira.priority_number(priority), max_attempts, retry_first_seconds, retry_max_seconds, timeout_seconds,
        executor, steps, payload_schema, unique_fields, unique_on_conflict, moment
    from jsonb_to_recordset(register.tasks) as declared (
        name text, version integer, queue text, priority text, max_attempts integer, retry_first_seconds double precision,
        retry_max_seconds double precision, timeout_seconds double precision, executor text, steps text[], payload_schema jsonb, unique_fields text[],
        unique_on_conflict text)
    order by name
    on conflict (name) do update
    set version = excluded.version, queue = excluded.queue, priority = excluded.priority, max_attempts = excluded.max_attempts,
        retry_first_seconds = excluded.retry_first_seconds, retry_max_seconds = excluded.retry_max_seconds,
        timeout_seconds = excluded.timeout_seconds, executor = excluded.executor, steps = excluded.steps,
        payload_schema = excluded.payload_schema, unique_fields = excluded.unique_fields,
        unique_on_conflict = excluded.unique_on_conflict, declared_at = excluded.declared_at
    where excluded.version >= task.version;

    insert into esteira.queue (name, created_at)
    select distinct declared ->> 'queue', moment
    from jsonb_array_elements(register.tasks) as declared
    order by 1
    on conflict (name) do nothing;

    insert into esteira.worker (id, hostname, pid, version, queues, tasks, engines, slots, started_at, beat_at, ticked_at)
    values (
        worker_id, hostname, pid, version, queues,
        array(select declared ->> 'name' from jsonb_array_elements(register.tasks) as declared order by 1),
        engines, slots, moment, moment, moment);
end
$$;
comment on function esteira.register is
'A worker introduces itself and declares its tasks: [{name, version, queue, priority, max_attempts, retry_first_seconds, retry_max_seconds, timeout_seconds, executor, steps, payload_schema, unique_fields, unique_on_conflict}]. From here on its heartbeat keeps its lease. Raises ES004 for what is no name.';

create function esteira.heartbeat(
    worker_id uuid, held_slots integer default 0, stalled_engines integer[] default null, stalled_for interval default null
) returns table (engines integer, cancel_ids uuid[], draining boolean)
language plpgsql
security definer
set search_path = pg_catalog, esteira, pg_temp
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
declare
    moment timestamptz := esteira.now();
begin
    update esteira.worker as worker
    set beats = worker.beats + 1, beat_at = moment, held_slots = heartbeat.held_slots,
        stalled_engines = heartbeat.stalled_engines, stalled_at = moment - heartbeat.stalled_for
    where worker.id = heartbeat.worker_id and worker.lost_at is null and worker.stopped_at is null;
    if not found then
        return;
    end if;
    return query
    select
        (select sum(worker.engines)::integer from esteira.worker as worker where worker.lost_at is null and worker.stopped_at is null),
        array(
            select activity.job_id
            from esteira.activity as activity
            join esteira.job_live as job on job.id = activity.job_id
            where activity.cancel_requested_at is not null and job.worker_id = heartbeat.worker_id),
        (select worker.drain_at is not null from esteira.worker as worker where worker.id = heartbeat.worker_id);
end
$$;
comment on function esteira.heartbeat is
'Keeps the worker''s lease, and notes what keeps its slots from taking jobs: handlers that do not stop, engines that stand still. Returns how many engines are alive in all, which of this worker''s jobs somebody asked to stop, and whether it is to drain and leave; no row at all means that the worker was given up, or never registered.';

create function esteira.crash(worker_id uuid, engine integer, message text) returns integer
language plpgsql
security definer
set search_path = pg_catalog, esteira, pg_temp
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    lost uuid[];
begin
    perform esteira.disconnect(format('esteira/%s/%s', worker_id, engine));
    lost := array(
        select job.id from esteira.job_live as job
        where job.worker_id = crash.worker_id and job.engine = crash.engine and job.status = 'running'
        order by job.id
        for update);
    perform esteira.lose(lost, 'crashed', message, esteira.now());
    perform esteira.notify_workers(array(select job.queue from esteira.job_live as job where job.id = any (lost)));
    return cardinality(lost);
end
$$;
comment on function esteira.crash(uuid, integer, text) is
'Takes back the jobs of an engine process that died under its living supervisor, and returns how many.';

create function esteira.rescue(worker_id uuid) returns integer
language plpgsql
security definer
set search_path = pg_catalog, esteira, pg_temp
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    moment timestamptz := esteira.now();
    lost uuid[];
begin
    update esteira.worker as worker
    set lost_at = moment
    where worker.id = rescue.worker_id and worker.lost_at is null;
    perform esteira.disconnect(format('esteira/%s', worker_id));
    lost := array(
        select job.id from esteira.job_live as job
        where job.worker_id = rescue.worker_id and job.status = 'running'
        order by job.id
        for update);
    perform esteira.lose(lost, 'lost', 'the worker stopped beating', moment);
    perform esteira.notify_workers(array(select job.queue from esteira.job_live as job where job.id = any (lost)));
    return cardinality(lost);
end
$$;
comment on function esteira.rescue(uuid) is
'Gives a worker up and takes its jobs back; returns how many. Harmless to one that lives after all: its writes are fenced, and it registers anew.';

create function esteira.retire(worker_id uuid) returns integer
language plpgsql
security definer
set search_path = pg_catalog, esteira, pg_temp
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    held uuid[];
begin
    update esteira.worker as worker
    set stopped_at = esteira.now()
    where worker.id = retire.worker_id and worker.stopped_at is null;
    perform esteira.disconnect(format('esteira/%s', worker_id));
    held := array(
        select job.id from esteira.job_live as job
        where job.worker_id = retire.worker_id and job.status = 'running'
        order by job.id
        for update);
    perform esteira.record_attempt(held, 'released', null, null, esteira.now());
    perform esteira.requeue(held, null, esteira.now());
    return cardinality(held);
end
$$;
comment on function esteira.retire(uuid) is
'A worker leaves in good order: its engines'' sessions end, and whatever it still held goes back uncharged. Returns how many.';

create function esteira.drain(worker_id uuid) returns timestamptz
language plpgsql
security definer
set search_path = pg_catalog, esteira, pg_temp
as $$
#variable_conflict use_column
declare
    since timestamptz;
begin
    update esteira.worker as worker
    set drain_at = coalesce(worker.drain_at, esteira.now())
    where worker.id = drain.worker_id and worker.lost_at is null and worker.stopped_at is null
    returning worker.drain_at into since;
    if not found then
        raise exception 'no worker % is there to be drained', drain.worker_id using errcode = 'ES010';
    end if;
    return since;
end
$$;
comment on function esteira.drain(uuid) is
'Asks a worker to stop, as SIGTERM does: it claims nothing more, finishes what it runs, and leaves. Returns since when; raises ES010 (no such worker, or it has gone).';

create function esteira.maintain_partitions(days integer default 14) returns integer
language sql
security definer
set search_path = pg_catalog, esteira, pg_temp
as $$
select count(*)::integer
from generate_series(0, days) as ahead
where esteira.make_day(esteira.now() + make_interval(days => ahead))
$$;
comment on function esteira.maintain_partitions(integer) is
'Makes the partitions of finished jobs for today and the days ahead; returns how many were missing.';

-- Every worker calls it about once a second; one at a time does the work, and there is no leader to lose. A worker's lease
-- is `lease` ticks that saw no new beat, at most one tick a second however many workers call.
--
-- A thorough one also looks for what nobody tells. What was claimed stays in the index while any snapshot could see it, and with
-- 700,000 such entries that took 0.2 s: each worker spends a twentieth of its time on it at most. Heartbeats do not wait for it.
create function esteira.tick(lease integer default 6, thorough boolean default true) returns integer
language plpgsql
security definer
set search_path = pg_catalog, esteira, pg_temp
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
declare
    moment timestamptz;
    strays uuid[] := '{}';
    new_queues text[] := '{}';
    lost uuid[];
    rescued integer;
begin
    if not pg_try_advisory_xact_lock(hashtext('esteira.tick')) then
        return null;
    end if;
    if thorough then
        -- A worker that is gone may hold jobs again: it lived after all, and claimed once more before it knew. Nor may a job hang
        -- on a worker that nobody knows, because somebody deleted it or wrote another name into the job.
        strays := array(
            select distinct job.worker_id
            from esteira.job_live as job
            where job.worker_id is not null
              and not exists (
                select from esteira.worker as worker
                where worker.id = job.worker_id and worker.lost_at is null and worker.stopped_at is null));
        new_queues := array(select esteira.ready_queues(array(select queue.name from esteira.queue as queue)));
    end if;
    -- The clock is read once the rows are held. A tick that waited for them counted as one of long ago, so the next counted at once,
    -- before a worker that had been held up as well could beat.
    perform from esteira.worker as worker
    where worker.lost_at is null and worker.stopped_at is null
    order by worker.id
    for no key update;
    moment := esteira.now();
    update esteira.worker as worker
    set missed_ticks = case when worker.beats > worker.seen_beats then 0 else least(worker.missed_ticks + 1, 1000000) end,
        seen_beats = worker.beats,
        ticked_at = moment
    where worker.lost_at is null and worker.stopped_at is null
      and abs(extract(epoch from moment - worker.ticked_at)) >= 0.9;

    lost := array(
        select worker.id
        from esteira.worker as worker
        where worker.lost_at is null and worker.stopped_at is null and worker.missed_ticks >= lease
        union
        select unnest(strays)
        order by 1);
    -- All their jobs in the order of the ids, as everybody takes them: worker by worker it would be another order.
    perform esteira.disconnect(format('esteira/%s', worker_id)) from unnest(lost) as worker_id;
    perform from esteira.job_live as job
    where job.worker_id = any (lost) and job.status = 'running'
    order by job.id
    for update;
    select coalesce(sum(esteira.rescue(worker_id)), 0) into rescued from unnest(lost) as worker_id;

    perform esteira.maintain_partitions();
    perform esteira.expire();
    insert into esteira.queue (name, created_at)
    select name, moment from unnest(new_queues) as name order by name
    on conflict do nothing;
    delete from esteira.worker as worker
    where coalesce(worker.lost_at, worker.stopped_at) < moment - interval '1 day';
    return rescued;
end
$$;
comment on function esteira.tick(integer, boolean) is
'Maintenance: rescues workers that missed `lease` ticks, makes partitions ahead, expires jobs, forgets workers gone for a day; a thorough one also takes jobs back from workers that are gone or unknown, and notes new queues. Returns how many jobs were taken back; null, having done nothing, while another tick is under way.';

create function esteira.set_retention(queue text default null, finished interval default null, dead interval default null) returns void
language plpgsql
security definer
set search_path = pg_catalog, esteira, pg_temp
as $$
#variable_conflict use_column
declare
    wrong interval := (
        select given from unnest(array[set_retention.finished, set_retention.dead]) as given
        where given not between interval '1 s' and interval '100 years' limit 1);
begin
    if wrong is not null then
        raise exception 'jobs are kept for 1 second to 100 years, not for %', wrong using errcode = 'ES004';
    end if;
    if set_retention.queue is null then
        insert into esteira.retention default values on conflict do nothing;
        update esteira.retention as retention
        set finished = coalesce(set_retention.finished, retention.finished), dead = coalesce(set_retention.dead, retention.dead);
    else
        insert into esteira.queue (name, created_at, keep_finished, keep_dead)
        values (set_retention.queue, esteira.now(), set_retention.finished, set_retention.dead)
        on conflict (name) do update
        set keep_finished = excluded.keep_finished, keep_dead = excluded.keep_dead, finished_kept_from = null;
    end if;
    update esteira.retention set finished_kept_from = null;
end
$$;
comment on function esteira.set_retention(text, interval, interval) is
'How long jobs are kept after their end: completed and cancelled ones (finished), dead letters (dead). For one queue, where null means as for all others; without a queue for all that have no rule of their own, where null means as it was.';

-- One bounded unit of each work. The day comes last: dropping it locks the history for as long as the transaction goes on.
-- Locks of others are waited for 100 ms at most, since whoever comes meanwhile waits behind us; the next pass tries again.
create function esteira.retain(batch integer default 5000, every interval default '0') returns bigint
language plpgsql
security definer
set search_path = pg_catalog, esteira, pg_temp
set enable_seqscan = off
set jit = off
set lock_timeout = '100ms'
as $$
#variable_conflict use_column
declare
    -- A fake clock that is not the owner's could have all of history dropped.
    moment timestamptz := case when pg_has_role(session_user, current_user, 'usage') then esteira.now() else clock_timestamp() end;
    longest interval;
    jobs bigint;
    letters bigint;
    others bigint;
begin
    if retain.batch < 1 then
        raise exception 'a batch has at least one job, not %', retain.batch using errcode = 'ES004';
    end if;
    if not pg_try_advisory_xact_lock(hashtext('esteira.retain')) then
        return 0;
    end if;
    insert into esteira.retention default values on conflict do nothing;
    update esteira.retention as retention
    set retained_at = moment
    where retention.retained_at not between moment - retain.every and moment or retain.every = '0'
    returning greatest(retention.finished, (select max(queue.keep_finished) from esteira.queue as queue)) into longest;
    if not found then
        return 0;
    end if;
    jobs := esteira.remove_finished(longest, moment, batch);
    letters := esteira.remove_dead(moment, batch);
    others := esteira.remove_orphans(moment - longest, batch);
    others := others + esteira.remove_keys(moment - interval '24 h', batch);
    jobs := jobs + esteira.remove_day(moment - longest);
    update esteira.retention as retention
    set finished_removed = retention.finished_removed + jobs, dead_removed = retention.dead_removed + letters;
    return jobs + letters + others;
end
$$;
comment on function esteira.retain(integer, interval) is
'Removes what is older than its rule (esteira.set_retention), about a batch of each kind and one whole day, unless it ran within `every`. Returns how much it removed: a full batch means that there is more.';

create view esteira.jobs with (security_invoker = true) as
select
    job.id, job.queue, job.task, esteira.priority_name(job.priority) as priority, job.status, job.reason,
    case when job.status = 'completed' then job.progress else coalesce(activity.progress, job.progress) end as progress,
    coalesce(activity.progress_message, job.progress_message) as progress_message,
    coalesce(activity.current_step, job.current_step) as current_step,
    job.attempt, job.failures, coalesce(job.max_attempts, task.max_attempts, 3) as max_attempts, job.crashes, job.generation,
    -- Below infinity, which is no number to JSON; the backoff itself ends at a year.
    least(coalesce(job.retry_first_seconds, task.retry_first_seconds, 5), 3.2e9) as retry_first_seconds,
    least(coalesce(job.retry_max_seconds, task.retry_max_seconds, 3600), 3.2e9) as retry_max_seconds,
    job.worker_id, job.engine,
    coalesce(job.timeout_seconds, task.timeout_seconds, 3600) as timeout_seconds,
    job.created_at, greatest(job.updated_at, activity.updated_at) as updated_at, job.run_at, job.ready_at,
    job.expires_at, job.started_at, job.finished_at,
    activity.cancel_requested_at,
    esteira.now() - job.created_at as age,
    coalesce(job.started_at, esteira.now()) - job.ready_at as wait,
    case when job.status <> 'queued' then coalesce(job.finished_at, esteira.now()) - job.started_at end as run_time,
    job.error, job.result_error, job.unique_key, job.tags, job.metadata, job.payload, job.result
from esteira.job as job
left join esteira.activity as activity on activity.job_id = job.id
left join esteira.task as task on task.name = job.task;
comment on view esteira.jobs is 'Every job with every column that a person wants. Filter by status where you can: history then stays unread.';
comment on column esteira.jobs.wait is 'From ready to its latest claim, or to now.';
comment on column esteira.jobs.run_time is 'Of the latest attempt.';
comment on column esteira.jobs.max_attempts is 'Its own, else its task''s, else 3.';
comment on column esteira.jobs.retry_first_seconds is 'The backoff after the first failure: its own, else its task''s, else 5.';
comment on column esteira.jobs.retry_max_seconds is 'The longest backoff: its own, else its task''s, else 3600.';

create view esteira.worker_status with (security_invoker = true) as
select
    worker.id, worker.hostname, worker.pid, worker.version,
    case
        when worker.lost_at is not null then 'lost'
        when worker.stopped_at is not null then 'stopped'
        when esteira.now() - worker.beat_at > interval '10 s' then 'silent'
        when worker.drain_at is not null then 'draining'
        else 'alive'
    end as state,
    worker.queues, worker.tasks, worker.engines, worker.slots,
    taken.running, worker.held_slots, worker.stalled_engines, worker.stalled_at,
    taken.able_slots, greatest(0, taken.able_slots - taken.moving) as free_slots,
    nullif(concat_ws(' ',
        case when worker.held_slots > 0 then format(
            'Handlers that went on after their timeout or cancel hold %s of its %s slots; executor="process" can be killed.',
            worker.held_slots, worker.slots) end,
        case when worker.stalled_at is not null then format(
            'Since %s %s of its %s engines %s taken no job: a handler blocks the event loop (await asyncio.to_thread, or make it a plain function) or a job runs alone after crashes; its log says which.',
            date_trunc('second', worker.stalled_at), cardinality(worker.stalled_engines), worker.engines,
            case cardinality(worker.stalled_engines) when 1 then 'has' else 'have' end) end,
        case when worker.held_slots > 0 or worker.stalled_at is not null then
            'Where they do not end by themselves, start another worker and `esteira drain ' || worker.id || '`.' end), '') as trouble,
    worker.started_at, worker.beat_at, esteira.now() - worker.beat_at as silent_for,
    coalesce(worker.lost_at, worker.stopped_at) as ended_at
from esteira.worker as worker
cross join lateral (
    select
        count(*) as running,
        count(*) filter (where worker.stalled_engines is null or job.engine <> all (worker.stalled_engines)) as moving,
        worker.slots - worker.held_slots
            - coalesce(cardinality(worker.stalled_engines), 0) * (worker.slots / worker.engines) as able_slots
    from esteira.job_live as job
    where job.worker_id = worker.id
) as taken;
comment on view esteira.worker_status is 'Workers of the last day.';
comment on column esteira.worker_status.state is
'alive; silent (no heartbeat for 10 s, not given up yet: it needs another worker''s ticks); draining (asked to stop, claims nothing more); lost (given up, jobs taken back); stopped (left in good order).';
comment on column esteira.worker_status.able_slots is
'Slots that take jobs: those that are neither held by a handler that does not stop, nor of an engine that stands still.';
comment on column esteira.worker_status.free_slots is
'Those of the able slots that are not busy: they can take a job now.';
comment on column esteira.worker_status.trouble is 'What keeps slots from taking jobs though nothing runs in them, and what to do; null: nothing.';

create function esteira.explain(job_id uuid) returns table (code text, detail text)
language plpgsql
security definer
set search_path = pg_catalog, esteira, pg_temp
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
declare
    moment timestamptz := esteira.now();
    job esteira.jobs;
    worker esteira.worker_status;
    serving integer;
    able integer;
    free bigint;
    able_slots bigint;
    known text[];
    trouble text;
    ahead text;
    paused record;
begin
    select * into job from esteira.jobs as found where found.id = explain.job_id;
    if job.id is null then
        return query select 'not_found', format('There is no job %s.', job_id);
    elsif job.status = 'completed' then
        return query select 'completed', format('It completed at %s.', job.finished_at);
    elsif job.status = 'dead' then
        return query select 'dead', format(
            'It is dead (%s) after %s of %s attempts and %s crashes; the last error was %s: %s. `select esteira.retry(''%s'')` gives it another life.',
            job.reason, job.failures, job.max_attempts, job.crashes, job.error ->> 'type', job.error ->> 'message', job.id);
    elsif job.status = 'cancelled' then
        return query select
            case job.reason when 'expired' then 'expired' else 'cancelled' end,
            case job.reason
                when 'expired' then format('It had not begun by %s, when it expired.', job.expires_at)
                when 'purged' then format('It was cancelled at %s, when its queue was purged.', job.finished_at)
                else format('It was cancelled at %s.', job.finished_at)
            end;
    elsif job.status = 'waiting' then
        return query select 'waiting', 'It waits for something outside.';
    elsif job.status = 'running' then
        select * into worker from esteira.worker_status as found where found.id = job.worker_id;
        if worker.state is null or worker.state not in ('alive', 'draining') then
            return query select 'worker_silent', format(
                'Its worker %s has not been heard of for %s s. Any running worker takes the job back once the lease is over; start one if there is none.',
                job.worker_id, round(extract(epoch from worker.silent_for)));
        elsif job.cancel_requested_at is not null then
            return query select 'cancelling', format('It was asked to stop at %s and has not stopped yet.', job.cancel_requested_at);
        else
            return query select 'running', format(
                'It has been running on %s (process %s, engine %s) since %s%s, at %s %%.', worker.hostname, worker.pid, job.engine,
                job.started_at, coalesce(', in step ' || job.current_step, ''), round((job.progress * 100)::numeric));
        end if;
    elsif job.expires_at <= moment and job.attempt = 0 then
        return query select 'expired', format('It had not begun by %s, when it expired, and is about to be cancelled.', job.expires_at);
    elsif job.ready_at > moment and job.failures > 0 then
        return query select 'retrying', format(
            'It failed (%s of %s: %s: %s) and runs again at %s.', job.failures, job.max_attempts,
            job.error ->> 'type', job.error ->> 'message', job.ready_at);
    elsif job.ready_at > moment then
        return query select 'scheduled', format('It is scheduled for %s.', job.ready_at);
    else
        select what, name, since into paused
        from (
            select 'queue', queue.name, queue.paused_at from esteira.queue as queue where queue.name = job.queue
            union all
            select 'task', task.name, task.paused_at from esteira.task as task where task.name = job.task
        ) as stopped (what, name, since)
        where since is not null
        limit 1;
        if found then
            return query select 'paused', format(
                'The %s "%s" has been paused since %s: nothing of it is claimed until it is resumed.', paused.what, paused.name, paused.since);
            return;
        end if;
        select count(*), count(*) filter (where job.task = any (alive.tasks)),
               sum(alive.free_slots) filter (where job.task = any (alive.tasks)),
               sum(alive.able_slots) filter (where job.task = any (alive.tasks)),
               min(format(' %s (process %s): %s', alive.hostname, alive.pid, alive.trouble))
                   filter (where job.task = any (alive.tasks) and alive.trouble is not null)
        into serving, able, free, able_slots, trouble
        from esteira.worker_status as alive
        where alive.state = 'alive' and (alive.queues is null or job.queue = any (alive.queues));
        if serving = 0 then
            return query select 'no_worker', format(
                'No worker serves the queue "%s". Start one: esteira worker --tasks MODULE --queues %s', job.queue, job.queue);
        elsif able = 0 then
            return query select 'task_unknown', format(
                'No worker on the queue "%s" knows the task "%s". Start one with the module that declares it: esteira worker --tasks MODULE',
                job.queue, job.task);
        else
            -- Of what stands before it, only what those workers may claim makes it wait.
            select array_agg(distinct task.name) into known
            from esteira.worker_status as alive
            join esteira.task as task on task.name = any (alive.tasks) and task.paused_at is null
            where alive.state = 'alive' and (alive.queues is null or job.queue = any (alive.queues)) and job.task = any (alive.tasks);
            -- Looked at to a thousand: stuck_jobs explains each job of a long backlog.
            select case when count(*) <= 1000 then '' when bool_and(before.task = any (known)) then 'more than ' else 'at least ' end
                || case count(*) filter (where before.task = any (known))
                    when 1 then '1 job stands'
                    else least(count(*) filter (where before.task = any (known)), 1000) || ' jobs stand'
                end
            into ahead
            from (
                select other.task
                from esteira.job_live as other
                where other.status = 'queued' and other.queue = job.queue and other.ready_at <= moment
                  and (other.priority > esteira.priority_number(job.priority)
                       or (other.priority = esteira.priority_number(job.priority) and (other.ready_at, other.id) < (job.ready_at, job.id)))
                limit 1001
            ) as before;
            if free > 0 then
                return query select 'ready', format('It has been ready since %s and is about to be claimed; %s before it.', job.ready_at, ahead);
            else
                return query select case when able_slots > 0 then 'workers_busy' else 'workers_held' end, format(
                    '%s %s; %s before it in the queue "%s". More workers or slots would help.%s',
                    case able when 1 then 'The worker that can run it' else format('All %s workers that can run it', able) end,
                    case when able_slots > 0 then case able when 1 then 'is busy' else 'are busy' end else 'can take no job' end,
                    ahead, job.queue, trouble);
            end if;
        end if;
    end if;
end
$$;
comment on function esteira.explain(uuid) is
'Why the job is not running now, or what it is doing: a code for programs, a sentence for people.';

create view esteira.running_jobs with (security_invoker = true) as
select id, queue, task, worker_id, engine, attempt, started_at, run_time, progress, progress_message, current_step, cancel_requested_at, timeout_seconds
from esteira.jobs
where status = 'running'
order by started_at;
comment on view esteira.running_jobs is 'What runs now, the longest-running first.';

-- No clock among its columns, so that a page of it is read along the primary key, however many are stuck.
create view esteira.stuck with (security_invoker = true) as
select job.id
from esteira.job_live as job
left join esteira.activity as activity on activity.job_id = job.id
left join esteira.task as task on task.name = job.task
where (job.status = 'running'
       and (esteira.now() - job.started_at > make_interval(secs => coalesce(job.timeout_seconds, task.timeout_seconds, 3600))
            or esteira.now() - greatest(job.updated_at, activity.updated_at) > interval '15 min'))
   or (job.status = 'queued' and esteira.now() - job.ready_at > interval '5 min');
comment on view esteira.stuck is
'The ids of jobs that run past their timeout or 15 min without progress, or that have been ready and unclaimed for 5 min. esteira.stuck_jobs shows them with the reason.';

create view esteira.stuck_jobs with (security_invoker = true) as
select stuck.id, stuck.queue, stuck.task, stuck.status, explanation.code as reason, explanation.detail,
       stuck.attempt, stuck.worker_id, stuck.current_step, stuck.ready_at, stuck.started_at, stuck.updated_at
from esteira.jobs as stuck
cross join lateral esteira.explain(stuck.id) as explanation
where stuck.status in ('queued', 'running') and stuck.id in (select id from esteira.stuck);
comment on view esteira.stuck_jobs is
'Jobs that run past their timeout or 15 min without progress, or that have been ready and unclaimed for 5 min, with the reason.';
comment on column esteira.stuck_jobs.reason is 'The code of esteira.explain.';

create view esteira.dead_letter with (security_invoker = true) as
select id, queue, task, reason, error ->> 'type' as error_type, error ->> 'message' as error_message,
       failures, max_attempts, crashes, current_step, created_at, finished_at, payload
from esteira.jobs
where status = 'dead'
order by finished_at desc;
comment on view esteira.dead_letter is 'Jobs that failed for good, the latest first. select esteira.retry(id) gives one another life.';

-- Only the live table and the dead letter: counting history is for the statistics, not for a page that polls.
create view esteira.queue_stats with (security_invoker = true) as
with live as (
    select
        queue,
        count(*) filter (where status = 'queued' and ready_at <= moment) as ready,
        count(*) filter (where status = 'queued' and ready_at > moment) as scheduled,
        count(*) filter (where status = 'running') as running,
        count(*) filter (where status = 'waiting') as waiting,
        min(ready_at) filter (where status = 'queued' and ready_at <= moment) as oldest_ready_at
    from esteira.job_live, (select esteira.now() offset 0) as clock (moment)
    group by queue
), dead as (
    select queue, count(*) as dead from esteira.job_dead group by queue
), name as (
    select name as queue from esteira.queue union select queue from live union select queue from dead
)
select
    name.queue,
    coalesce(live.ready, 0) as ready, coalesce(live.scheduled, 0) as scheduled, coalesce(live.running, 0) as running,
    coalesce(live.waiting, 0) as waiting, coalesce(dead.dead, 0) as dead,
    setting.paused_at,
    live.oldest_ready_at, esteira.now() - live.oldest_ready_at as oldest_ready_age,
    (select count(*) from esteira.worker_status as worker
     where worker.state = 'alive' and (worker.queues is null or name.queue = any (worker.queues))) as workers,
    setting.keep_finished, setting.keep_dead
from name
left join esteira.queue as setting on setting.name = name.queue
left join live on live.queue = name.queue
left join dead on dead.queue = name.queue
order by name.queue;
comment on view esteira.queue_stats is 'How deep each queue is, the age of its oldest ready job, and how many living workers serve it.';

create view esteira.task_stats with (security_invoker = true) as
with live as (
    select
        task,
        count(*) filter (where status = 'queued' and ready_at <= moment) as ready,
        count(*) filter (where status = 'queued' and ready_at > moment) as scheduled,
        count(*) filter (where status = 'running') as running,
        count(*) filter (where status = 'waiting') as waiting
    from esteira.job_live, (select esteira.now() offset 0) as clock (moment)
    group by task
), dead as (
    select task, count(*) as dead from esteira.job_dead group by task
)
select
    task.name as task, task.version, task.queue, esteira.priority_name(task.priority) as priority, task.max_attempts,
    task.retry_first_seconds, task.retry_max_seconds, task.timeout_seconds, task.executor, task.steps,
    task.unique_fields, task.unique_on_conflict, task.payload_schema, task.declared_at, task.paused_at,
    coalesce(live.ready, 0) as ready, coalesce(live.scheduled, 0) as scheduled, coalesce(live.running, 0) as running,
    coalesce(live.waiting, 0) as waiting, coalesce(dead.dead, 0) as dead,
    (select count(*) from esteira.worker_status as worker
     where worker.state = 'alive' and task.name = any (worker.tasks)) as workers
from esteira.task as task
left join live on live.task = task.name
left join dead on dead.task = task.name
order by task.name;
comment on view esteira.task_stats is 'Every task that a worker ever declared: its policy, its jobs that have not ended well, how many living workers know it.';

-- Exact where it is cheap. How many have finished in all is what the statistics collector knows of the partitions: counting
-- them would read all of history.
create view esteira.totals with (security_invoker = true) as
select
    coalesce(sum(queue.ready), 0)::bigint as ready, coalesce(sum(queue.scheduled), 0)::bigint as scheduled,
    coalesce(sum(queue.running), 0)::bigint as running, coalesce(sum(queue.waiting), 0)::bigint as waiting,
    coalesce(sum(queue.dead), 0)::bigint as dead,
    (select coalesce(sum(n_live_tup), 0)::bigint
     from pg_stat_user_tables
     where relid in (select inhrelid from pg_inherits where inhparent = 'esteira.job_finished'::regclass)) as finished_estimate,
    min(queue.oldest_ready_at) as oldest_ready_at, esteira.now() - min(queue.oldest_ready_at) as oldest_ready_age,
    (select count(*) from esteira.worker_status where state = 'alive') as workers,
    (select coalesce(sum(slots), 0)::bigint from esteira.worker_status where state = 'alive') as slots
from esteira.queue_stats as queue;
comment on view esteira.totals is 'One row: how many jobs there are in each state, over all queues, and what works on them.';

-- The bounds are subqueries, which are known before the scan begins: so the index on finished_at serves, and days gone by are not
-- opened. What it costs grows with what ended within the hour: 5 ms for 30,000 jobs.
create view esteira.ended_lately with (security_invoker = true) as
select
    span.span,
    count(*) filter (where ended.status = 'completed') as completed,
    count(*) filter (where ended.status = 'cancelled') as cancelled,
    count(*) filter (where ended.status = 'dead') as dead
from (values (interval '5 min'), (interval '1 hour')) as span (span)
left join (
    select job.status, clock.moment - job.finished_at as ago
    from esteira.job as job, (select esteira.now() offset 0) as clock (moment)
    where job.status in ('completed', 'cancelled', 'dead')
      and job.finished_at > (select esteira.now() - interval '1 hour')
) as ended on ended.ago < span.span
group by span.span
order by span.span;
comment on view esteira.ended_lately is 'How many jobs ended in the last five minutes and in the last hour, over all queues.';

-- What slows every queue down once it is old: a snapshot that somebody holds. Vacuum then leaves the rows that were removed
-- since, and their index entries, where claims must step over them. Sessions of other databases hold nothing back here.
-- Ages are real time, whatever a test's clock says.
create view esteira.db_health with (security_invoker = true) as
with held (kind, name, pid, xmin) as (
    select 'session', session.application_name, session.pid, coalesce(session.backend_xmin, session.backend_xid)
    from pg_stat_activity as session
    where session.pid <> pg_backend_pid() and session.backend_type <> 'autovacuum worker'
      and (session.datname = current_database() or session.datname is null)
    union all
    select 'replication slot', slot.slot_name::text, slot.active_pid, slot.xmin from pg_replication_slots as slot
    union all
    select 'prepared transaction', prepared.gid, null, prepared.transaction
    from pg_prepared_xacts as prepared
    where prepared.database = current_database()
), holder as (
    select * from held where xmin is not null order by age(xmin) desc limit 1
), oldest as (
    select session.pid, session.application_name, session.usename, session.state, clock_timestamp() - session.xact_start as age
    from pg_stat_activity as session
    where session.pid <> pg_backend_pid() and session.datname = current_database() and session.backend_type <> 'autovacuum worker'
      and session.xact_start is not null
    order by session.xact_start
    limit 1
)
select
    oldest.pid as oldest_transaction_pid, oldest.application_name as oldest_transaction_name,
    oldest.usename as oldest_transaction_user, oldest.state as oldest_transaction_state, oldest.age as oldest_transaction_age,
    holder.kind as xmin_holder, holder.name as xmin_holder_name, holder.pid as xmin_holder_pid, age(holder.xmin) as xmin_age,
    live.n_live_tup as job_live_rows, live.n_dead_tup as job_live_dead_rows, live.last_autovacuum as job_live_vacuumed_at,
    pg_total_relation_size('esteira.job_live') as job_live_bytes,
    (select count(*) from pg_stat_activity where backend_type = 'client backend') as connections,
    current_setting('max_connections')::integer as max_connections
from (select) as one
left join oldest on true
left join holder on true
left join pg_stat_user_tables as live on live.relid = 'esteira.job_live'::regclass;
comment on view esteira.db_health is
'One row: what holds vacuum back (the oldest transaction, the oldest xmin), how many dead rows job_live has, how many connections there are. A role without pg_read_all_stats sees the times of its own sessions only.';
comment on column esteira.db_health.oldest_transaction_age is 'Since it began. `select pg_terminate_backend(pid)` ends it.';
comment on column esteira.db_health.xmin_holder is 'What holds the oldest snapshot: session, replication slot, prepared transaction.';
comment on column esteira.db_health.xmin_age is 'How many transactions ago: rows removed since then cannot be vacuumed.';
comment on column esteira.db_health.job_live_dead_rows is 'As the statistics know it. Autovacuum begins at 5,000; many more mean that something holds it back.';

-- PostgreSQL lets everybody execute a new function; a verb acts with the rights of its owner, so nobody may unless roles.sql (or you)
-- says so. Every revision that makes functions ends with this line. (`alter default privileges` would see to it for good, but for
-- whatever else that account ever makes in this database, too.)
revoke execute on all functions in schema esteira from public;

select esteira.maintain_partitions();
