create function esteira.remove_keys(before timestamptz, batch integer) returns bigint
language sql
as $$
with gone as (
    delete from esteira.idempotency_key as kept
    where kept.key = any (array(
        select old.key
        from esteira.idempotency_key as old
        where old.created_at < remove_keys.before
        order by old.created_at
        limit remove_keys.batch
        for update skip locked))
    returning kept.key
)
select count(*) from gone
$$;
comment on function esteira.remove_keys(timestamptz, integer) is
'Internal: removes a batch of idempotency keys older than the moment; returns how many.';
