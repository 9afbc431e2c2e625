create function esteira.progress(job_id uuid, attempt integer, progress real default null, message text default null, step text default null)
returns boolean
language plpgsql
security definer
set search_path = pg_catalog, esteira, pg_temp
set enable_seqscan = off
as $$
#variable_conflict use_column
begin
    perform from esteira.job_live as job
    where job.id = progress.job_id and job.attempt = progress.attempt and job.status = 'running'
    for key share;
    if not found then
        return false;
    end if;
    insert into esteira.activity as activity (job_id, attempt, progress, progress_message, current_step, updated_at)
    values (
        progress.job_id, progress.attempt,
        coalesce(progress.progress, (select job.progress from esteira.job_live as job where job.id = progress.job_id)),
        progress.message, progress.step, esteira.now())
    on conflict (job_id) do update
    set attempt = excluded.attempt,
        progress = coalesce(progress.progress, activity.progress),
        progress_message = coalesce(progress.message, activity.progress_message),
        current_step = coalesce(progress.step, activity.current_step),
        updated_at = excluded.updated_at;
    return true;
end
$$;
comment on function esteira.progress(uuid, integer, real, text, text) is
'Notes how far a running job is (0 to 1), with a message and the step it is in; null leaves a value as it was. False is a lost lease.';
