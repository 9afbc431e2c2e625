-- The recorder: triggers that write down, inside of each transaction, what it does to jobs, workers and keys. `esteira history start`
-- runs this file, `esteira history stop` drops the schema, and with it every trace. It is no part of the queue's own schema.
--
-- Every row has a number, drawn while the row that it tells of is locked: per job, and per worker, numbers are in the order of the
-- locks, which is the order of the commits. What was rolled back leaves a gap and nothing else.
-- A job changes partition by a delete and an insert: two rows of one transaction, which the reader folds.
-- A dropped day fires no trigger: the checker takes those from the counters of esteira.retention.
create schema esteira_history;
comment on schema esteira_history is
'What happened to Esteira''s jobs since recording began. `esteira history check` reads it, `esteira history stop` drops it.';
create sequence esteira_history.number cache 1;

create table esteira_history.recording (
    id               smallint primary key default 1 constraint recording_is_one_row check (id = 1),
    began_at         timestamptz not null default clock_timestamp(),
    live             bigint not null,
    dead             bigint not null,
    finished         bigint not null,
    finished_removed bigint not null,
    dead_removed     bigint not null
);
comment on table esteira_history.recording is 'When recording began, and what was there then. One row.';

-- No index: the checker sorts once, and every index would be paid for by every job.
create table esteira_history.transition (
    number         bigint not null,
    xid            xid8 not null,
    snapshot       pg_snapshot not null,
    at             timestamptz not null,
    clock          timestamptz not null,
    pid            integer not null,
    session        text not null,
    operation      text not null,
    job_id         uuid not null,
    task           text not null,
    queue          text not null,
    request        text,
    old_status     text,
    old_attempt    integer,
    old_generation integer,
    old_worker_id  uuid,
    old_engine     integer,
    status         text,
    reason         text,
    attempt        integer,
    failures       integer,
    crashes        integer,
    generation     integer,
    worker_id      uuid,
    engine         integer,
    run_at         timestamptz,
    ready_at       timestamptz,
    expires_at     timestamptz,
    started_at     timestamptz,
    finished_at    timestamptz
);
comment on table esteira_history.transition is 'Every insert, update and delete of a row of esteira.job: what was, and what is.';
comment on column esteira_history.transition.number is 'The order: per job that of the row locks.';
comment on column esteira_history.transition.xid is 'The transaction.';
comment on column esteira_history.transition.snapshot is
'Taken while the row is locked: whatever held the lock before is seen in it as committed.';
comment on column esteira_history.transition.at is 'The queue''s clock.';
comment on column esteira_history.transition.clock is 'The server''s clock, whatever clock the session pretends.';
comment on column esteira_history.transition.session is 'The application_name: an engine''s is esteira/<worker>/<engine>.';
comment on column esteira_history.transition.operation is 'INSERT, UPDATE, DELETE; SEEN: it ran when recording began.';
comment on column esteira_history.transition.request is 'metadata.request, by which a ledger finds the jobs of its requests.';

create table esteira_history.note (
    number  bigint not null,
    xid     xid8 not null,
    at      timestamptz not null,
    clock   timestamptz not null,
    session text not null,
    kind    text not null constraint note_kind_is_known check (kind in ('attempt', 'step', 'cancel')),
    job_id  uuid not null,
    attempt integer not null,
    name    text
);
comment on table esteira_history.note is
'What was written beside a job: attempt (name: its outcome), step (its name), cancel (somebody asked the running job to stop).';

create table esteira_history.key (
    number     bigint not null,
    xid        xid8 not null,
    at         timestamptz not null,
    clock      timestamptz not null,
    operation  text not null,
    key        text not null,
    job_id     uuid not null,
    created_at timestamptz not null
);
comment on table esteira_history.key is 'Idempotency keys: kept, pointed elsewhere, removed.';

create table esteira_history.worker (
    number       bigint not null,
    snapshot     pg_snapshot not null,
    at           timestamptz not null,
    clock        timestamptz not null,
    operation    text not null,
    worker_id    uuid not null,
    beats        bigint not null,
    missed_ticks integer not null,
    slots        integer not null,
    queues       text[],
    tasks        text[],
    drain_at     timestamptz,
    stopped_at   timestamptz,
    lost_at      timestamptz
);
comment on table esteira_history.worker is
'Workers: how they came (with their queues and tasks), each beat, each tick that counted them, how they left.';

create table esteira_history.pause (
    number bigint not null,
    clock  timestamptz not null,
    kind   text not null,
    name   text not null,
    paused boolean not null
);
comment on table esteira_history.pause is 'Pauses of queues and tasks, and their ends.';

-- Security definer: whoever may write to the queue need not be able to write here, and cannot. What a row costs (10 µs) is
-- the insert itself: what stands in it, and the pinned path (3 %), hardly matter.
create function esteira_history.record_job() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    insert into esteira_history.transition values (
        nextval('esteira_history.number'), pg_current_xact_id(), pg_current_snapshot(), esteira.now(), clock_timestamp(),
        pg_backend_pid(), current_setting('application_name'), tg_op,
        coalesce(new.id, old.id), coalesce(new.task, old.task), coalesce(new.queue, old.queue), new.metadata ->> 'request',
        old.status, old.attempt, old.generation, old.worker_id, old.engine,
        new.status, new.reason, new.attempt, new.failures, new.crashes, new.generation, new.worker_id, new.engine,
        new.run_at, new.ready_at, new.expires_at, new.started_at, new.finished_at);
    return null;
end
$$;

create function esteira_history.record_attempt() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    insert into esteira_history.note values (
        nextval('esteira_history.number'), pg_current_xact_id(), esteira.now(), clock_timestamp(),
        current_setting('application_name'), 'attempt', new.job_id, new.attempt, new.outcome);
    return null;
end
$$;

create function esteira_history.record_step() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    insert into esteira_history.note values (
        nextval('esteira_history.number'), pg_current_xact_id(), esteira.now(), clock_timestamp(),
        current_setting('application_name'), 'step', new.job_id, new.attempt, new.name);
    return null;
end
$$;

create function esteira_history.record_cancel() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    insert into esteira_history.note values (
        nextval('esteira_history.number'), pg_current_xact_id(), esteira.now(), clock_timestamp(),
        current_setting('application_name'), 'cancel', new.job_id, new.attempt, null);
    return null;
end
$$;

create function esteira_history.record_key() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    insert into esteira_history.key values (
        nextval('esteira_history.number'), pg_current_xact_id(), esteira.now(), clock_timestamp(), tg_op,
        coalesce(new.key, old.key), coalesce(new.job_id, old.job_id), coalesce(new.created_at, old.created_at));
    return null;
end
$$;

create function esteira_history.record_worker() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    insert into esteira_history.worker values (
        nextval('esteira_history.number'), pg_current_snapshot(), esteira.now(), clock_timestamp(), tg_op,
        new.id, new.beats, new.missed_ticks, new.slots,
        case when tg_op = 'INSERT' then new.queues end, case when tg_op = 'INSERT' then new.tasks end,
        new.drain_at, new.stopped_at, new.lost_at);
    return null;
end
$$;

create function esteira_history.record_pause() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    insert into esteira_history.pause values (
        nextval('esteira_history.number'), clock_timestamp(), tg_table_name, new.name,
        new.paused_at is not null);
    return null;
end
$$;

comment on function esteira_history.record_job() is 'Writes a transition for each change of a job''s row.';
comment on function esteira_history.record_attempt() is 'Notes how an attempt ended.';
comment on function esteira_history.record_step() is 'Notes a step that is stored.';
comment on function esteira_history.record_cancel() is 'Notes that somebody asked a running job to stop.';
comment on function esteira_history.record_key() is 'Writes what becomes of an idempotency key.';
comment on function esteira_history.record_worker() is 'Writes each beat of a worker, each tick that counts it, how it comes and goes.';
comment on function esteira_history.record_pause() is 'Writes that a queue or a task is paused, or resumed.';

-- On the parent: each partition has it, and each day that is made later.
create trigger esteira_history after insert or update or delete on esteira.job
for each row execute function esteira_history.record_job();
create trigger esteira_history after insert or update on esteira.attempt
for each row execute function esteira_history.record_attempt();
create trigger esteira_history after insert or update on esteira.step
for each row execute function esteira_history.record_step();
create trigger esteira_history_insert after insert on esteira.activity
for each row when (new.cancel_requested_at is not null) execute function esteira_history.record_cancel();
create trigger esteira_history_update after update on esteira.activity
for each row when (old.cancel_requested_at is null and new.cancel_requested_at is not null)
execute function esteira_history.record_cancel();
create trigger esteira_history after insert or update or delete on esteira.idempotency_key
for each row execute function esteira_history.record_key();
create trigger esteira_history after insert or update on esteira.worker
for each row execute function esteira_history.record_worker();
create trigger esteira_history_insert after insert on esteira.queue
for each row when (new.paused_at is not null) execute function esteira_history.record_pause();
create trigger esteira_history_update after update on esteira.queue
for each row when (old.paused_at is distinct from new.paused_at) execute function esteira_history.record_pause();
create trigger esteira_history after update on esteira.task
for each row when (old.paused_at is distinct from new.paused_at) execute function esteira_history.record_pause();

-- The triggers' locks keep everybody else from writing until this is committed: so nothing is missing between here and there.
insert into esteira_history.recording (live, dead, finished, finished_removed, dead_removed)
select
    (select count(*) from esteira.job_live), (select count(*) from esteira.job_dead), (select count(*) from esteira.job_finished),
    coalesce(max(retention.finished_removed), 0), coalesce(max(retention.dead_removed), 0)
from esteira.retention as retention;

insert into esteira_history.transition
select
    nextval('esteira_history.number'), pg_current_xact_id(), pg_current_snapshot(), esteira.now(), clock_timestamp(),
    pg_backend_pid(), current_setting('application_name'), 'SEEN', id, task, queue, metadata ->> 'request',
    status, attempt, generation, worker_id, engine, status, reason, attempt, failures, crashes, generation, worker_id, engine,
    run_at, ready_at, expires_at, started_at, finished_at
from esteira.job_live
where worker_id is not null;

insert into esteira_history.worker
select
    nextval('esteira_history.number'), pg_current_snapshot(), esteira.now(), clock_timestamp(), 'INSERT', id, beats, missed_ticks, slots, queues, tasks,
    drain_at, stopped_at, lost_at
from esteira.worker;

insert into esteira_history.pause
select nextval('esteira_history.number'), clock_timestamp(), 'queue', name, true from esteira.queue where paused_at is not null
union all
select nextval('esteira_history.number'), clock_timestamp(), 'task', name, true from esteira.task where paused_at is not null;

-- Whoever could call the functions could write what never happened.
revoke execute on all functions in schema esteira_history from public;
do $do$
begin
    if to_regrole('esteira_reader') is not null then
        grant usage on schema esteira_history to esteira_reader;
        grant select on all tables in schema esteira_history to esteira_reader;
    end if;
end
$do$;
