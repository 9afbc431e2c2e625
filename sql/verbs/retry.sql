create function esteira.retry(id uuid) returns uuid
language plpgsql
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    moment timestamptz := esteira.now();
    seen text;
begin
    with dead as (
        delete from esteira.job_dead as job where job.id = retry.id returning job.*
    ), cancelled as (
        delete from esteira.job_finished as job where job.id = retry.id and job.status = 'cancelled' returning job.*
    )
    insert into esteira.job_live (
        id, queue, task, priority, attempt, generation, max_attempts, retry_first_seconds, retry_max_seconds, timeout_seconds,
        created_at, updated_at, run_at, ready_at, progress, progress_message, current_step, tags, metadata, error, payload)
    select
        id, queue, task, priority, attempt, generation + 1, max_attempts, retry_first_seconds, retry_max_seconds, timeout_seconds,
        created_at, moment, moment, moment, progress, progress_message, current_step, tags, metadata, error, payload
    from (select * from dead union all select * from cancelled) as job;
    if not found then
        select job.status into seen from esteira.job as job where job.id = retry.id;
        if seen is null then
            raise exception 'no job %', retry.id using errcode = 'ES001';
        end if;
        raise exception 'job % is %; only dead and cancelled jobs can be retried', retry.id, seen using errcode = 'ES002';
    end if;
    return id;
end
$$;
comment on function esteira.retry(uuid) is
'Begins the next generation of a dead or cancelled job: failures and crashes at 0, finished steps kept, the attempt number goes on rising. Returns its id; raises ES001 (no such job), ES002 (another status).';
