-- Jobs are looked at one by one, in the order of their keys, and stored together in the order given: an insert of one job costs
-- 0.4 ms, and sorting them all a tenth of the rest. Where two of them have one key, another
-- transaction's job got in between our look and our insert, or an overlapping batch came the other way, all is done again and
-- each keyed job is stored at once, in the order of the keys: the first of a key counts, and nobody meets anybody head on.
-- What another transaction has not committed yet is waited for, for a second: a little longer than deadlock_timeout.
-- Plans are kept: those for arrays of known length look a little cheaper, so that each job was planned anew.
create function esteira.enqueue_keyed(
    tasks text[], payloads jsonb[], queues text[], priorities text[], delays interval[], run_ats timestamptz[], max_attempts integer[],
    retry_firsts interval[], retry_maxes interval[], timeouts interval[], metadata jsonb[], tags jsonb[], expires_ats timestamptz[],
    unique_keys text[], on_conflicts text[], idempotency_keys text[], atomic boolean, moment timestamptz
) returns table (id uuid, queue text, outcome text)
language plpgsql
set lock_timeout = '1200ms'
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
    new record;
    answer record;
    ids uuid[];
    lanes text[];
    outcomes text[];
    fresh uuid[];
    keys text[];
    one_by_one boolean := false;
begin
    loop
        begin
            ids := array_fill(null::uuid, array[cardinality(tasks)]);
            lanes := array_fill(null::text, array[cardinality(tasks)]);
            outcomes := lanes;
            fresh := ids;
            keys := lanes;
            for new in
                select given.*, coalesce(given.queue, task.queue, 'default') as lane,
                       coalesce(given.on_conflict, task.unique_on_conflict, 'return') as policy, made.key
                from (
                    select esteira.uuid7() as id, asked.*
                    from unnest(
                        enqueue_keyed.tasks, enqueue_keyed.payloads, enqueue_keyed.queues, enqueue_keyed.priorities,
                        enqueue_keyed.delays, enqueue_keyed.run_ats, enqueue_keyed.max_attempts, enqueue_keyed.retry_firsts,
                        enqueue_keyed.retry_maxes, enqueue_keyed.timeouts, enqueue_keyed.metadata, enqueue_keyed.tags,
                        enqueue_keyed.expires_ats, enqueue_keyed.unique_keys, enqueue_keyed.on_conflicts, enqueue_keyed.idempotency_keys
                    ) with ordinality as asked (
                        task, payload, queue, priority, delay, run_at, max_attempts, retry_first, retry_max, timeout, metadata, tags,
                        expires_at, unique_key, on_conflict, idempotency_key, place)
                ) as given
                left join esteira.task as task on task.name = given.task
                cross join lateral (
                    select coalesce(given.unique_key, esteira.unique_key(coalesce(given.payload, '{}'), task.unique_fields))
                ) as made (key)
                order by made.key, case when made.key is null then given.idempotency_key end, given.place
            loop
                select new.id, 'enqueued' as outcome into answer;
                if new.idempotency_key is not null then
                    -- Seconds instead of times: their text hangs on the session's settings.
                    select * into answer
                    from esteira.remember_key(new.idempotency_key, sha256(convert_to(row(
                        new.task, coalesce(new.payload, '{}'), new.queue, new.priority, extract(epoch from new.delay),
                        extract(epoch from new.run_at), new.max_attempts, extract(epoch from new.retry_first), extract(epoch from new.retry_max),
                        extract(epoch from new.timeout), new.metadata, new.tags, extract(epoch from new.expires_at),
                        new.unique_key, new.on_conflict)::text, 'UTF8')), new.id, moment);
                end if;
                if answer.outcome = 'enqueued' and new.key is not null then
                    select * into answer from esteira.take_unique(new.task, new.key, new.policy, new.id, moment);
                    if answer.outcome in ('enqueued', 'replaced') and one_by_one then
                        perform esteira.insert_jobs(
                            array[answer.id], array[new.task], array[new.payload], array[new.queue], array[new.priority],
                            array[new.delay], array[new.run_at], array[new.max_attempts], array[new.retry_first],
                            array[new.retry_max], array[new.timeout], array[new.metadata], array[new.tags],
                            array[new.expires_at], array[new.key], moment);
                    elsif answer.outcome in ('enqueued', 'replaced') then
                        fresh[new.place] := answer.id;
                        keys[new.place] := new.key;
                    end if;
                    if new.idempotency_key is not null and answer.outcome = 'unique_conflict' then
                        delete from esteira.idempotency_key as kept where kept.key = new.idempotency_key;
                    elsif new.idempotency_key is not null and answer.id <> new.id then
                        update esteira.idempotency_key as kept set job_id = answer.id where kept.key = new.idempotency_key;
                    end if;
                elsif answer.outcome = 'enqueued' then
                    fresh[new.place] := new.id;
                end if;
                if atomic and answer.outcome = 'unique_conflict' then
                    raise exception 'job % of the task "%" has the unique key "%"%', answer.id, new.task, new.key,
                        case new.policy when 'replace' then ' and has begun, so it cannot be replaced' else '' end
                    using errcode = 'ES003';
                elsif atomic and answer.outcome = 'idempotency_mismatch' then
                    raise exception 'the idempotency key "%" was used for another request, answered by job %', new.idempotency_key, answer.id
                    using errcode = 'ES006';
                end if;
                ids[new.place] := answer.id;
                lanes[new.place] := case when answer.outcome in ('enqueued', 'replaced') then new.lane end;
                outcomes[new.place] := answer.outcome;
            end loop;
            perform esteira.insert_jobs(
                fresh, enqueue_keyed.tasks, enqueue_keyed.payloads, enqueue_keyed.queues, enqueue_keyed.priorities,
                enqueue_keyed.delays, enqueue_keyed.run_ats, enqueue_keyed.max_attempts, enqueue_keyed.retry_firsts,
                enqueue_keyed.retry_maxes, enqueue_keyed.timeouts, enqueue_keyed.metadata, enqueue_keyed.tags,
                enqueue_keyed.expires_ats, keys, moment);
            exit;
        exception
            when unique_violation or deadlock_detected then
                -- A snapshot for the whole transaction would never see what is in the way.
                if one_by_one and current_setting('transaction_isolation') <> 'read committed' then
                    raise exception 'another transaction has enqueued a job with the same key meanwhile; run this one again'
                    using errcode = 'serialization_failure';
                end if;
                one_by_one := true;
            when lock_not_available then
                raise exception 'another transaction is about to enqueue a job with the same key; ask again in a moment'
                using errcode = 'ES007';
        end;
    end loop;
    return query select * from unnest(ids, lanes, outcomes);
end
$$;
comment on function esteira.enqueue_keyed is 'Internal: enqueue_many where jobs have unique or idempotency keys.';
