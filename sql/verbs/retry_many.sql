-- A job whose unique key a live one has stays where it is.
create function esteira.retry_many(ids uuid[]) returns table (id uuid, queue text)
language plpgsql
security definer
set search_path = pg_catalog, esteira, pg_temp
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    moment timestamptz := esteira.now();
    free uuid[];
begin
    free := array(
        select distinct on (job.task, coalesce(job.unique_key, job.id::text)) job.id
        from esteira.job as job
        where job.id = any (retry_many.ids) and job.status in ('dead', 'cancelled')
          and not exists (
              select from esteira.job_live as live where live.task = job.task and live.unique_key = job.unique_key)
        order by job.task, coalesce(job.unique_key, job.id::text), job.id);
    return query
    with dead as (
        delete from esteira.job_dead as job where job.id = any (free) returning job.*
    ), cancelled as (
        delete from esteira.job_finished as job where job.id = any (free) and job.status = 'cancelled' returning job.*
    )
    insert into esteira.job_live as job (
        id, queue, task, priority, attempt, generation, max_attempts, retry_first_seconds, retry_max_seconds, timeout_seconds,
        created_at, updated_at, run_at, ready_at, progress, progress_message, current_step, unique_key, tags, metadata, error, payload)
    select
        id, queue, task, priority, attempt, generation + 1, max_attempts, retry_first_seconds, retry_max_seconds, timeout_seconds,
        created_at, moment, moment, moment, progress, progress_message, current_step, unique_key, tags, metadata, error, payload
    from (select * from dead union all select * from cancelled) as ended
    order by id
    returning job.id, job.queue;
end
$$;
comment on function esteira.retry_many(uuid[]) is
'Begins the next generation of those of these jobs that are dead or cancelled, and returns their ids and queues: failures and crashes at 0, no expiry, finished steps kept, the attempt number goes on rising. Wakes nobody.';
