create function esteira.take_unique(task text, unique_key text, on_conflict text, new_id uuid) returns table (id uuid, outcome text)
language plpgsql
as $$
#variable_conflict use_column
begin
    if on_conflict not in ('return', 'replace', 'reject') then
        raise exception 'on_conflict must be return, replace or reject, not "%"', on_conflict using errcode = 'ES004';
    end if;
    if on_conflict = 'replace' then
        return query
        delete from esteira.job_live as live
        where live.task = take_unique.task and live.unique_key = take_unique.unique_key and live.status = 'queued' and live.attempt = 0
        returning live.id, 'replaced';
        if found then
            return;
        end if;
    end if;
    return query
    select coalesce(live.id, new_id),
           case when live.id is null then 'enqueued' when on_conflict = 'return' then 'existing' else 'unique_conflict' end
    from (select) as anyway
    left join esteira.job_live as live on live.task = take_unique.task and live.unique_key = take_unique.unique_key;
end
$$;
comment on function esteira.take_unique(text, text, text, uuid) is
'Internal: what becomes of a new job with a unique key, and its id: enqueued; replaced (the live job made way, and its id is to be used); existing; unique_conflict.';
