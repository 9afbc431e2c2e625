-- What the permutations need beside the schema: jobs in every state, what is left of them in the end, and what must never be true.
create schema test;

-- The job that a permutation is about, and the attempt that its worker is at.
create table test.given (place integer primary key, job uuid not null, attempt integer not null);
create function test.job(place integer default 1) returns uuid stable language sql
as $$ select job from test.given where place = job.place $$;
create function test.jobs() returns uuid[] stable language sql as $$ select array_agg(job order by place) from test.given $$;
create function test.attempt(place integer default 1) returns integer stable language sql
as $$ select attempt from test.given where place = attempt.place $$;
create function test.results() returns jsonb[] stable language sql
as $$ select array_agg(to_jsonb(place) order by place) from test.given $$;
create function test.attempts() returns integer[] stable language sql as $$ select array_agg(attempt order by place) from test.given $$;

-- The worker that holds the job, and another.
create function test.worker() returns uuid immutable language sql as $$ select '00000000-0000-4000-8000-000000000001'::uuid $$;
create function test.other() returns uuid immutable language sql as $$ select '00000000-0000-4000-8000-000000000002'::uuid $$;

select esteira.register(gen_random_uuid(), 'host', 1, '0', null, 1, 1, '[
    {"name": "unique", "version": 1, "queue": "q", "priority": "normal", "max_attempts": 3, "retry_first_seconds": 0, "retry_max_seconds": 0,
     "timeout_seconds": 60, "executor": "async", "steps": [], "payload_schema": {}, "unique_fields": ["a"]}]');
select esteira.set_retention('q', finished => '1 s', dead => '1 s');

create function test.claim(worker uuid default test.other(), wanted integer default 10) returns table (id uuid, attempt integer, payload jsonb, priority smallint) language sql as $$
select id, attempt, payload, priority
from esteira.claim(
    worker, 0, wanted, array['t', 'unique'], array['q', 'q', 'p', 'p'], array[2, 1, 2, 1]::smallint[],
    array_fill('-infinity'::timestamptz, array[4]), array_fill('00000000-0000-0000-0000-000000000000'::uuid, array[4]))
where id is not null
$$;

-- No backoff: what failed may be claimed at once, and every outcome is the same whenever it came about.
create function test.enqueue(
    task text default 't', key text default null, on_conflict text default null, idempotency_key text default null,
    payload jsonb default '{}', max_attempts integer default null, expires_at timestamptz default null
) returns uuid language sql as $$
select esteira.enqueue(
    task, payload, queue => 'q', retry_first => '0', max_attempts => max_attempts, unique_key => key, on_conflict => on_conflict,
    idempotency_key => idempotency_key, metadata => jsonb_build_object('by', current_setting('application_name')),
    expires_at => expires_at)
$$;

create function test.sure(held boolean) returns boolean language plpgsql as $$
begin
    if not held then
        raise 'the lease is lost';
    end if;
    return held;
end
$$;

create function test.take(job uuid, times integer default 1) returns void language plpgsql as $$
declare
    turn integer := 1;
begin
    loop
        perform test.claim(test.worker());
        exit when turn = times;
        if not esteira.release(array[job], array[turn]) = 1 then
            raise 'attempt % was not there', turn;
        end if;
        turn := turn + 1;
    end loop;
end
$$;

-- Each state, by the verbs themselves.
create function test.arrange_one(state text) returns uuid language plpgsql as $$
declare
    job uuid;
begin
    case state
        when 'queued' then job := test.enqueue();
        when 'keyed' then job := test.enqueue(key => 'k', idempotency_key => 'i');
        when 'made_key' then job := test.enqueue('unique', payload => '{"a": 1}');
        when 'expired' then job := test.enqueue(key => 'k', expires_at => esteira.now());
        else job := test.enqueue(
            key => case when state like 'keyed_%' then 'k' end, max_attempts => case when state = 'last_attempt' then 1 end);
    end case;
    if state in ('running', 'keyed_running', 'last_attempt', 'cancel_asked', 'completed') then
        perform test.take(job);
    elsif state = 'second_attempt' then
        perform test.take(job, 2);
    end if;
    if state = 'running_elsewhere' then
        perform test.claim(test.other());
    elsif state = 'progressed' then
        perform test.take(job);
        perform esteira.save_step(job, 1, 'first', '1', esteira.now(), 0.3);
    elsif state = 'cancel_asked' then
        perform esteira.cancel(job);
    elsif state = 'crashed_twice' then
        for turn in 1..2 loop
            perform test.claim(test.worker());
            perform esteira.crash(test.worker(), 0, 'it crashed');
        end loop;
        perform test.claim(test.worker());
    elsif state in ('dead', 'keyed_dead') then
        perform test.take(job);
        perform esteira.save_step(job, 1, 'first', '1', esteira.now());
        perform esteira.fail(job, 1, '{"type": "T", "message": "m"}', retryable => false);
    elsif state in ('cancelled', 'keyed_cancelled') then
        perform esteira.cancel(job);
    elsif state = 'completed' then
        perform esteira.complete(array[job], array[1], array['1']::jsonb[]);
    end if;
    return job;
end
$$;

create function test.arrange(states text[]) returns void language plpgsql as $$
declare
    made uuid;
    state text;
begin
    delete from test.given;
    delete from esteira.job_live;
    delete from esteira.job_dead;
    delete from esteira.job_finished;
    delete from esteira.step;
    delete from esteira.attempt;
    delete from esteira.activity;
    delete from esteira.idempotency_key;
    delete from esteira.worker;
    update esteira.queue set paused_at = null where paused_at is not null;
    insert into esteira.worker (id, hostname, pid, version, tasks, engines, slots, started_at, beat_at, ticked_at)
    select worker, 'host', 1, '0', '{t,unique}', 1, 10, moment, moment, moment - interval '10 s'
    from unnest(array[test.worker(), test.other()]) as worker, esteira.now() as moment;
    foreach state in array states loop
        made := test.arrange_one(state);
        insert into test.given
        select 1 + (select count(*) from test.given), job.id, job.attempt from esteira.job as job where job.id = made;
        assert found, format('%s did not become %s', made, state);
    end loop;
end
$$;

-- All that is left, without the times: two orders of the same verbs that leave this alike leave the same.
create view test.outcome as
select jsonb_strip_nulls(jsonb_build_object(
    'jobs', (
        select jsonb_object_agg(job.id || ' in ' || case when job.tableoid::regclass::text ~ 'finished' then 'finished' else job.tableoid::regclass::text end,
            jsonb_build_object(
                'task', task, 'queue', queue, 'priority', priority, 'status', status, 'reason', reason, 'attempt', attempt, 'failures', failures,
                'crashes', crashes, 'generation', generation, 'worker', worker_id, 'key', unique_key, 'tags', nullif(tags, '{}'),
                'by', metadata, 'payload', payload, 'result', result, 'error', error ->> 'type', 'failed_at', error ->> 'attempt',
                'progress', progress, 'message', progress_message, 'step', current_step, 'expires', expires_at is not null))
        from esteira.job),
    'activity', (
        select jsonb_object_agg(job_id, jsonb_build_array(attempt, progress, progress_message, current_step, cancel_requested_at is not null))
        from esteira.activity),
    'attempts', (select jsonb_object_agg(job_id || ' ' || attempt, outcome) from esteira.attempt),
    'steps', (select jsonb_object_agg(job_id || ' ' || name, jsonb_build_array(attempt, result)) from esteira.step),
    'keys', (select jsonb_object_agg(key, job_id) from esteira.idempotency_key),
    'paused', (select jsonb_agg(name) from esteira.queue where paused_at is not null),
    'gone', (select jsonb_agg(id order by id) from esteira.worker where lost_at is not null or stopped_at is not null)
)) as outcome;

create view test.broken as
select 'a job is there twice: ' || id as sentence from esteira.job group by id having count(*) > 1
union all
select 'a step without a job: ' || name from esteira.step where not exists (select from esteira.job where id = job_id)
union all
select 'an attempt without a job: ' || outcome from esteira.attempt where not exists (select from esteira.job where id = job_id)
union all
select 'activity without a live job: ' || activity from esteira.activity as activity
where not exists (select from esteira.job_live where id = job_id)
union all
select 'an attempt recorded ahead of the job: ' || attempt.attempt from esteira.attempt join esteira.job on job.id = attempt.job_id
where attempt.attempt > job.attempt or (attempt.attempt = job.attempt and job.status in ('running', 'completed'))
union all
-- A justified restart: every attempt but the latest ended somehow, and so did the latest of a job that goes back.
select 'attempt ' || number || ' ended without a record: ' || job.status || ' ' || job.attempt
from esteira.job as job
cross join generate_series(1, case when job.status in ('running', 'completed') then job.attempt - 1 else job.attempt end) as number
where not exists (select from esteira.attempt where job_id = job.id and attempt.attempt = number)
union all
select 'a step of an attempt that never was: ' || name from esteira.step join esteira.job on id = job_id where step.attempt > job.attempt
union all
select 'failures and crashes do not add up' from esteira.job as job
where generation = 1 and failures <> (select count(*) from esteira.attempt where job_id = job.id and outcome in ('failed', 'timed_out'))
   or generation = 1 and crashes <> (select count(*) from esteira.attempt where job_id = job.id and outcome in ('crashed', 'lost'))
union all
select 'it may be claimed before its time' from esteira.job where status = 'queued' and ready_at < updated_at - interval '1 s'
union all
select 'times out of order' from esteira.job where finished_at < started_at or started_at < created_at or updated_at < created_at;

-- Where a session stops within a verb: at the place with the number that it set, until the gate opens (1 is held by the gate).
-- `assert` calls it between two statements, since that leaves FOUND alone.
create function test.stop(place text) returns boolean language plpgsql set lock_timeout = 0 as $$
declare
    passed integer := coalesce(nullif(current_setting('test.passed', true), '')::integer, 0) + 1;
begin
    perform set_config('test.passed', passed::text, false);
    if passed::text = current_setting('test.stop_at', true) then
        perform set_config('test.stopped', place, false);
        perform pg_advisory_lock_shared(1);
        perform pg_advisory_unlock_shared(1);
    end if;
    return true;
end
$$;
