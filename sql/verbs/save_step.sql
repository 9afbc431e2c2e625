-- The insert selects from a locked row: a plain `exists` let the step of a given-up worker commit after the next claim.
-- `for update`: whoever notes progress or asks to cancel meanwhile waits for the job, holding nothing. With less they held the job and waited
-- for its activity, which this transaction has written: where it then completed the job, each waited for the other.
create function esteira.save_step(
    job_id uuid, attempt integer, name text, result jsonb, started_at timestamptz, progress real default null
) returns boolean
language plpgsql
security definer
set search_path = pg_catalog, esteira, pg_temp
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    moment timestamptz := esteira.now();
begin
    with held as materialized (
        select job.id
        from esteira.job_live as job
        where job.id = save_step.job_id and job.attempt = save_step.attempt and job.status = 'running'
        for update
    )
    insert into esteira.step as step (job_id, name, attempt, result, started_at, finished_at)
    select held.id, save_step.name, save_step.attempt, save_step.result, save_step.started_at, moment
    from held
    -- The same attempt may save it again: the reply to the first time was lost.
    on conflict (job_id, name) do update
    set result = excluded.result, started_at = excluded.started_at, finished_at = excluded.finished_at
    where step.attempt = excluded.attempt;
    if not found then
        return false;
    end if;
    insert into esteira.activity as activity (job_id, attempt, progress, current_step, updated_at)
    values (
        save_step.job_id, save_step.attempt,
        coalesce(save_step.progress, (select job.progress from esteira.job_live as job where job.id = save_step.job_id)),
        save_step.name, moment)
    on conflict (job_id) do update
    set attempt = excluded.attempt,
        progress = coalesce(save_step.progress, activity.progress),
        current_step = excluded.current_step,
        updated_at = excluded.updated_at;
    return true;
end
$$;
comment on function esteira.save_step(uuid, integer, text, jsonb, timestamptz, real) is
'Stores the result of a finished step, and with it the job''s progress (0 to 1; null: as it was) and current step; false is a lost lease.';
