-- Arrays in parallel, one element a job; a null array or element means the default. `delays` and `run_ats`: the later counts.
-- `on_conflicts` says what becomes of a job whose unique key a live job of its task has: return (the live one is the answer),
-- replace (the live one takes over all that is asked for here, unless it has begun) or reject.
create function esteira.enqueue_many(
    tasks            text[],
    payloads         jsonb[] default null,
    queues           text[] default null,
    priorities       text[] default null,
    delays           interval[] default null,
    run_ats          timestamptz[] default null,
    max_attempts     integer[] default null,
    retry_firsts     interval[] default null,
    retry_maxes      interval[] default null,
    timeouts         interval[] default null,
    metadata         jsonb[] default null,
    tags             jsonb[] default null,
    expires_ats      timestamptz[] default null,
    unique_keys      text[] default null,
    on_conflicts     text[] default null,
    idempotency_keys text[] default null,
    atomic           boolean default true
) returns table (id uuid, queue text, outcome text)
language plpgsql
security definer
set search_path = pg_catalog, esteira, pg_temp
as $$
#variable_conflict use_column
declare
    moment timestamptz := esteira.now();
    wrong text;
begin
    if enqueue_many.on_conflicts is not null then
        select policy into wrong from unnest(on_conflicts) as policy where policy not in ('return', 'replace', 'reject');
        if found then
            raise exception 'on_conflict must be return, replace or reject, not "%"', wrong using errcode = 'ES004';
        end if;
    end if;
    -- Mostly all are of one task and its queue, which can be seen without a query.
    if enqueue_many.queues is null and tasks[1] = all (tasks) then
        perform esteira.check_name(tasks[1]);
    else
        perform esteira.check_name(name) from (select distinct unnest(enqueue_many.tasks || enqueue_many.queues) as name) as given;
    end if;
    if enqueue_many.priorities is not null then
        -- Here, and not only in the insert: psql would show all of that as the error's context.
        perform esteira.priority_number(name) from (select distinct unnest(enqueue_many.priorities) as name) as given;
    end if;
    if enqueue_many.unique_keys is null and enqueue_many.idempotency_keys is null
        and not exists (select from esteira.task where name = any (enqueue_many.tasks) and unique_fields is not null)
    then
        return query
        select new.id, new.queue, 'enqueued'
        from esteira.insert_jobs(
            null, enqueue_many.tasks, enqueue_many.payloads, enqueue_many.queues, enqueue_many.priorities, enqueue_many.delays,
            enqueue_many.run_ats, enqueue_many.max_attempts, enqueue_many.retry_firsts, enqueue_many.retry_maxes,
            enqueue_many.timeouts, enqueue_many.metadata, enqueue_many.tags, enqueue_many.expires_ats, null, moment) as new;
        return;
    end if;
    return query
    select *
    from esteira.enqueue_keyed(
        enqueue_many.tasks, enqueue_many.payloads, enqueue_many.queues, enqueue_many.priorities, enqueue_many.delays,
        enqueue_many.run_ats, enqueue_many.max_attempts, enqueue_many.retry_firsts, enqueue_many.retry_maxes,
        enqueue_many.timeouts, enqueue_many.metadata, enqueue_many.tags, enqueue_many.expires_ats, enqueue_many.unique_keys,
        enqueue_many.on_conflicts, enqueue_many.idempotency_keys, enqueue_many.atomic, moment);
end
$$;
comment on function esteira.enqueue_many is
'Enqueues a job for each element of tasks, in the caller''s transaction, and returns for each, in that order, its id, its queue (null where there is nothing new in it) and the outcome: enqueued; existing, replaced (a live job has the unique key); replayed (the idempotency key was used for the same within 24 h). Two outcomes are refusals, and the id that of the job in the way: unique_conflict, idempotency_mismatch; with atomic they raise ES003 and ES006 instead. Raises ES004 (a name, priority or on_conflict that makes no sense; other values are refused by constraints), ES007 (another transaction is about to enqueue the same key). Wakes nobody: call notify_workers after the commit, or let the workers'' poll find them within a second.';
