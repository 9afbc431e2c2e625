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
