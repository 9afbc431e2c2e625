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
