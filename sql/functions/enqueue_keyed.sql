-- One by one, in the order given: within a batch, too, the first of a key counts. What another transaction has not committed
-- yet is waited for, a second at most. Where its job got in between our look and our insert, all is looked at again.
create function esteira.enqueue_keyed(
    tasks text[], payloads jsonb[], queues text[], priorities text[], delays interval[], run_ats timestamptz[], max_attempts integer[],
    retry_firsts interval[], retry_maxes interval[], timeouts interval[], metadata jsonb[], tags jsonb[], expires_ats timestamptz[],
    unique_keys text[], on_conflicts text[], idempotency_keys text[], atomic boolean, moment timestamptz
) returns table (id uuid, queue text, outcome text)
language plpgsql
set lock_timeout = '1s'
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    new record;
    answer record;
    lane text;
    ids uuid[];
    lanes text[];
    outcomes text[];
begin
    loop
        begin
            ids := '{}';
            lanes := '{}';
            outcomes := '{}';
            for new in
                select given.*, esteira.uuid7() as id, coalesce(given.on_conflict, task.unique_on_conflict, 'return') as policy,
                       coalesce(given.unique_key, esteira.unique_key(coalesce(given.payload, '{}'), task.unique_fields)) as key
                from unnest(
                    enqueue_keyed.tasks, enqueue_keyed.payloads, enqueue_keyed.queues, enqueue_keyed.priorities, enqueue_keyed.delays,
                    enqueue_keyed.run_ats, enqueue_keyed.max_attempts, enqueue_keyed.retry_firsts, enqueue_keyed.retry_maxes,
                    enqueue_keyed.timeouts, enqueue_keyed.metadata, enqueue_keyed.tags, enqueue_keyed.expires_ats,
                    enqueue_keyed.unique_keys, enqueue_keyed.on_conflicts, enqueue_keyed.idempotency_keys
                ) with ordinality as given (
                    task, payload, queue, priority, delay, run_at, max_attempts, retry_first, retry_max, timeout, metadata, tags,
                    expires_at, unique_key, on_conflict, idempotency_key, place)
                left join esteira.task as task on task.name = given.task
                order by given.place
            loop
                select new.id, 'enqueued' as outcome into answer;
                if new.idempotency_key is not null then
                    -- Seconds instead of times: their text hangs on the session's settings.
                    select * into answer
                    from esteira.remember_key(new.idempotency_key, sha256(convert_to(row(
                        new.task, new.payload, new.queue, new.priority, extract(epoch from new.delay), extract(epoch from new.run_at),
                        new.max_attempts, extract(epoch from new.retry_first), extract(epoch from new.retry_max),
                        extract(epoch from new.timeout), new.metadata, new.tags, extract(epoch from new.expires_at),
                        new.unique_key, new.on_conflict)::text, 'UTF8')), new.id, moment);
                end if;
                if answer.outcome = 'enqueued' and new.key is not null then
                    select * into answer from esteira.take_unique(new.task, new.key, new.policy, new.id);
                    update esteira.idempotency_key as kept set job_id = answer.id
                    where kept.key = new.idempotency_key and kept.job_id <> answer.id;
                end if;
                lane := null;
                if answer.outcome in ('enqueued', 'replaced') then
                    select inserted.queue into lane
                    from esteira.insert_jobs(
                        array[answer.id], array[new.task], array[new.payload], array[new.queue], array[new.priority],
                        array[new.delay], array[new.run_at], array[new.max_attempts], array[new.retry_first],
                        array[new.retry_max], array[new.timeout], array[new.metadata], array[new.tags],
                        array[new.expires_at], array[new.key], moment) as inserted;
                elsif answer.outcome = 'unique_conflict' then
                    delete from esteira.idempotency_key as kept where kept.key = new.idempotency_key;
                end if;
                ids := ids || answer.id;
                lanes := lanes || lane;
                outcomes := outcomes || answer.outcome;
                if atomic and answer.outcome = 'unique_conflict' then
                    raise exception 'job % of the task "%" has the unique key "%"%', answer.id, new.task, new.key,
                        case new.policy when 'replace' then ' and has begun, so it cannot be replaced' else '' end
                    using errcode = 'ES003';
                elsif atomic and answer.outcome = 'idempotency_mismatch' then
                    raise exception 'the idempotency key "%" was used for another request, answered by job %', new.idempotency_key, answer.id
                    using errcode = 'ES006';
                end if;
            end loop;
            exit;
        exception
            when unique_violation then
                null;
            when lock_not_available then
                raise exception 'another transaction is about to enqueue a job with the same key; ask again in a moment'
                using errcode = 'ES007';
        end;
    end loop;
    return query select * from unnest(ids, lanes, outcomes);
end
$$;
comment on function esteira.enqueue_keyed is 'Internal: enqueue_many where jobs have unique or idempotency keys.';
