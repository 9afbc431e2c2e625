-- As insert_jobs does for many, without its arrays: they and a join were a third of what one job costs the server.
create function esteira.enqueue_one(
    out id          uuid,
    task            text,
    payload         jsonb default null,
    inout queue     text default null,
    priority        text default null,
    delay           interval default null,
    run_at          timestamptz default null,
    max_attempts    integer default null,
    retry_first     interval default null,
    retry_max       interval default null,
    timeout         interval default null,
    metadata        jsonb default null,
    tags            jsonb default null,
    expires_at      timestamptz default null,
    unique_key      text default null,
    on_conflict     text default null,
    idempotency_key text default null,
    atomic          boolean default true,
    notify          boolean default false,
    out outcome     text,
    out notified    boolean
)
language plpgsql
security definer
set search_path = pg_catalog, esteira, pg_temp
as $$
#variable_conflict use_variable
declare
    moment timestamptz := esteira.now();
    level smallint;
    declared_queue text;
    declared_priority smallint;
    declared_unique text[];
    labels text[] := '{}';
    due timestamptz;
begin
    select t.queue, t.priority, t.unique_fields into declared_queue, declared_priority, declared_unique
    from esteira.task as t
    where t.name = task;
    if not found then
        -- Of one that a worker has declared, the name was checked then.
        perform esteira.check_name(task);
    end if;
    if coalesce(unique_key, idempotency_key, on_conflict) is not null or declared_unique is not null then
        -- As one of many: they take a longer way.
        select many.queue, many.id, many.outcome into queue, id, outcome
        from esteira.enqueue_many(
            array[task], array[payload], array[queue], array[priority], array[delay], array[run_at], array[max_attempts],
            array[retry_first], array[retry_max], array[timeout], array[metadata], array[tags], array[expires_at],
            case when unique_key is not null then array[unique_key] end, array[on_conflict],
            case when idempotency_key is not null then array[idempotency_key] end, atomic) as many;
    else
        if queue is not null then
            perform esteira.check_name(queue);
        end if;
        level := esteira.priority_number(priority);
        due := greatest(run_at, moment + delay, moment);
        queue := coalesce(queue, declared_queue, 'default');
        if tags is not null then
            labels := array(select jsonb_array_elements_text(tags));
        end if;
        id := esteira.uuid7();
        outcome := 'enqueued';
        insert into esteira.job_live (
            id, queue, task, priority, max_attempts, retry_first_seconds, retry_max_seconds, timeout_seconds,
            created_at, updated_at, run_at, ready_at, expires_at, tags, metadata, payload)
        values (
            id, queue, task, coalesce(level, declared_priority, 1),
            max_attempts, extract(epoch from retry_first), extract(epoch from retry_max), extract(epoch from timeout),
            moment, moment, due, due, expires_at,
            labels, coalesce(metadata, '{}'), coalesce(payload, '{}'));
    end if;
    -- Commits that notify queue up behind one lock, each until it is on the disk: of those that come this way, one at a time does.
    notified := coalesce(notify, false) and queue is not null and pg_try_advisory_xact_lock(hashtext('esteira.notify'));
    if notified then
        perform esteira.notify_workers(array[queue]);
    end if;
end
$$;
comment on function esteira.enqueue_one is
'Enqueues one job, with the arguments, outcomes and errors of enqueue_many (tags: a JSON array of strings), and in less time than that takes for one. With notify the commit wakes the workers, unless another transaction that is under way does so. Where queue is not null and notified is not true, call notify_workers after the commit, or let the workers'' poll find the job within a second.';
