-- Waits for a transaction that is about to store the same key, as any insert into a unique index does.
-- `on conflict do update` locks the key that is in the way even where it leaves it alone, so nobody removes it before it is read.
create function esteira.remember_key(key text, fingerprint bytea, job_id uuid, moment timestamptz) returns table (id uuid, outcome text)
language plpgsql
as $$
#variable_conflict use_column
begin
    insert into esteira.idempotency_key as kept (key, fingerprint, job_id, created_at)
    values (remember_key.key, remember_key.fingerprint, remember_key.job_id, remember_key.moment)
    on conflict (key) do update
    set fingerprint = excluded.fingerprint, job_id = excluded.job_id, created_at = excluded.created_at
    where kept.created_at <= excluded.created_at - interval '24 h';
    if found then
        return query select remember_key.job_id, 'enqueued';
    else
        return query
        select kept.job_id, case when kept.fingerprint = remember_key.fingerprint then 'replayed' else 'idempotency_mismatch' end
        from esteira.idempotency_key as kept
        where kept.key = remember_key.key;
    end if;
end
$$;
comment on function esteira.remember_key(text, bytea, uuid, timestamptz) is
'Internal: keeps an idempotency key for a new job (enqueued), or returns the job that has it already (replayed; idempotency_mismatch: it was another request).';
