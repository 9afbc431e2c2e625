-- A running job's row may be held by its handler's completing transaction: that is waited for, but not for long.
create function esteira.edit(
    id              uuid,
    priority        text default null,
    queue           text default null,
    run_at          timestamptz default null,
    tags            text[] default null,
    metadata        jsonb default null,
    payload         jsonb default null,
    unchanged_since timestamptz default null
) returns text
language plpgsql
security definer
set search_path = pg_catalog, esteira, pg_temp
set enable_seqscan = off
set lock_timeout = '2s'
as $$
#variable_conflict use_column
declare
    moment timestamptz;
    moves boolean := num_nonnulls(edit.priority, edit.queue, edit.run_at) > 0;
    job esteira.job;
    key text;
begin
    perform esteira.check_name(edit.queue);
    -- It may be on its way from one partition to another: then it is not found, but still there.
    loop
        select * into job from esteira.job as seen where seen.id = edit.id for no key update;
        exit when found;
        perform esteira.missing(edit.id) where not exists (select from esteira.job as seen where seen.id = edit.id);
    end loop;
    moment := esteira.now();
    if unchanged_since <> greatest(
        job.updated_at, (select activity.updated_at from esteira.activity as activity where activity.job_id = edit.id))
    then
        raise exception 'job % has changed meanwhile', edit.id using errcode = 'ES008';
    elsif moves and job.status not in ('queued', 'waiting') then
        raise exception 'job % is %, so its priority, queue and run_at stay as they are', edit.id, job.status using errcode = 'ES002';
    elsif edit.payload is not null and (job.attempt > 0 or job.status not in ('queued', 'waiting')) then
        raise exception 'job % has begun, so its payload stays as it is', edit.id using errcode = 'ES002';
    end if;
    -- A key that was made of the payload follows it.
    select esteira.unique_key(edit.payload, task.unique_fields) into key
    from esteira.task as task
    where task.name = job.task and esteira.unique_key(job.payload, task.unique_fields) = job.unique_key;
    update esteira.job as job
    set priority = coalesce(esteira.priority_number(edit.priority), job.priority),
        queue = coalesce(edit.queue, job.queue),
        run_at = case when edit.run_at is null then job.run_at else greatest(edit.run_at, moment) end,
        -- Above every floor of the lane that it stands in now.
        ready_at = case when moves then greatest(coalesce(edit.run_at, job.run_at), moment) else job.ready_at end,
        tags = coalesce(edit.tags, job.tags),
        metadata = coalesce(edit.metadata, job.metadata),
        payload = coalesce(edit.payload, job.payload),
        unique_key = coalesce(key, job.unique_key),
        updated_at = moment
    where job.id = edit.id;
    return job.status;
exception
    when lock_not_available then
        raise exception 'job % is being changed by another transaction; try again in a moment', edit.id using errcode = 'ES002';
    when unique_violation then
        raise exception 'with this payload job % would have the unique key "%", and so has a live job of its task', edit.id, key
        using errcode = 'ES003';
end
$$;
comment on function esteira.edit is
'Changes what is given and leaves the rest: tags and metadata at any time, priority, queue and run_at before the job runs (also before it runs again), payload before its first attempt (and with it the unique key that was made of it). Returns the status. Raises ES001 (no such job), ES002 (another status), ES003 (a live job has that unique key), ES004 (a value makes no sense), ES008 (updated_at is not unchanged_since).';
