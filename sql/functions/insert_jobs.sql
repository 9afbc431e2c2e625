-- unnest of arrays is what makes one statement of a thousand jobs. ids null: new ones; a null among them: not this one.
-- In plpgsql, which keeps the plan: before PostgreSQL 18 a function in SQL is planned anew at every call.
create function esteira.insert_jobs(
    ids            uuid[],
    tasks          text[],
    payloads       jsonb[],
    queues         text[],
    priorities     text[],
    delays         interval[],
    run_ats        timestamptz[],
    max_attempts   integer[],
    retry_firsts   interval[],
    retry_maxes    interval[],
    timeouts       interval[],
    metadata       jsonb[],
    tags           jsonb[],
    expires_ats    timestamptz[],
    unique_keys    text[],
    moment         timestamptz
) returns table (id uuid, queue text)
language plpgsql
as $$
#variable_conflict use_column
begin
    return query
    insert into esteira.job_live (
        id, queue, task, priority, max_attempts, retry_first_seconds, retry_max_seconds, timeout_seconds,
        created_at, updated_at, run_at, ready_at, expires_at, unique_key, tags, metadata, payload)
    select
        case when insert_jobs.ids is null then esteira.uuid7() else new.id end,
        coalesce(new.queue, task.queue, 'default'), new.task,
        coalesce(esteira.priority_number(new.priority), task.priority, 1),
        new.max_attempts, extract(epoch from new.retry_first), extract(epoch from new.retry_max), extract(epoch from new.timeout),
        moment, moment, due.run_at, due.run_at, new.expires_at, new.unique_key,
        case when new.tags is null then '{}' else array(select jsonb_array_elements_text(new.tags)) end,
        coalesce(new.metadata, '{}'), coalesce(new.payload, '{}')
    from unnest(
        insert_jobs.ids, insert_jobs.tasks, insert_jobs.payloads, insert_jobs.queues, insert_jobs.priorities, insert_jobs.delays,
        insert_jobs.run_ats, insert_jobs.max_attempts, insert_jobs.retry_firsts, insert_jobs.retry_maxes, insert_jobs.timeouts,
        insert_jobs.metadata, insert_jobs.tags, insert_jobs.expires_ats, insert_jobs.unique_keys
    ) with ordinality as new (
        id, task, payload, queue, priority, delay, run_at, max_attempts, retry_first, retry_max, timeout, metadata, tags,
        expires_at, unique_key, place)
    left join esteira.task as task on task.name = new.task
    cross join lateral (select greatest(new.run_at, moment + new.delay, moment)) as due (run_at)
    where insert_jobs.ids is null or new.id is not null
    order by new.place
    returning id, queue::text;
end
$$;
comment on function esteira.insert_jobs is 'Internal: the insert behind enqueue_many; returns the new jobs in the order of the arrays.';
