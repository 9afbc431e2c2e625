-- Arrays in parallel, one element a job; a null array or element means the default. unnest of arrays is what makes one
-- statement of a thousand jobs. `delays` and `run_ats`: the later of the two counts.
create function esteira.enqueue_many(
    tasks          text[],
    payloads       jsonb[] default null,
    queues         text[] default null,
    priorities     text[] default null,
    delays         interval[] default null,
    run_ats        timestamptz[] default null,
    max_attempts   integer[] default null,
    retry_firsts   interval[] default null,
    retry_maxes    interval[] default null,
    timeouts       interval[] default null,
    metadata       jsonb[] default null,
    tags           jsonb[] default null
) returns table (id uuid, queue text)
language plpgsql
as $$
#variable_conflict use_column
declare
    moment timestamptz := esteira.now();
    wrong text;
begin
    select name into wrong
    from (select distinct unnest(enqueue_many.tasks || enqueue_many.queues) as name) as given
    where name collate "C" !~ '^[[:alnum:]_][[:alnum:]_.:/-]{0,99}$';
    if found then
        raise exception '"%" is no name: use 1 to 100 letters, digits, and _ . : / -', wrong using errcode = 'ES004';
    end if;
    return query
    insert into esteira.job_live (
        id, queue, task, priority, max_attempts, retry_first_seconds, retry_max_seconds, timeout_seconds,
        created_at, updated_at, run_at, ready_at, tags, metadata, payload)
    select
        esteira.uuid7(), coalesce(new.queue, task.queue, 'default'), new.task,
        coalesce(esteira.priority_number(new.priority), task.priority, 1),
        new.max_attempts, extract(epoch from new.retry_first), extract(epoch from new.retry_max), extract(epoch from new.timeout),
        moment, moment, due.run_at, due.run_at,
        case when new.tags is null then '{}' else array(select jsonb_array_elements_text(new.tags)) end,
        coalesce(new.metadata, '{}'), coalesce(new.payload, '{}')
    from unnest(
        enqueue_many.tasks, enqueue_many.payloads, enqueue_many.queues, enqueue_many.priorities, enqueue_many.delays,
        enqueue_many.run_ats, enqueue_many.max_attempts, enqueue_many.retry_firsts, enqueue_many.retry_maxes,
        enqueue_many.timeouts, enqueue_many.metadata, enqueue_many.tags
    ) with ordinality as new (
        task, payload, queue, priority, delay, run_at, max_attempts, retry_first, retry_max, timeout, metadata, tags, place)
    left join esteira.task as task on task.name = new.task
    cross join lateral (select greatest(new.run_at, moment + new.delay, moment)) as due (run_at)
    order by new.place
    returning id, queue;
end
$$;
comment on function esteira.enqueue_many is
'Enqueues a job for each element of tasks, in the caller''s transaction, and returns their ids and queues in that order. Wakes nobody: call notify_workers after the commit, or let the workers'' poll find them within a second.';
