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
