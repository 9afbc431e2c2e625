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
