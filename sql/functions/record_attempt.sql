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
