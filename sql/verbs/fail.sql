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
