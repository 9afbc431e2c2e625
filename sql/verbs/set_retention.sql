create function esteira.set_retention(queue text default null, finished interval default null, dead interval default null) returns void
language plpgsql
security definer
set search_path = pg_catalog, esteira, pg_temp
as $$
#variable_conflict use_column
declare
    wrong interval := (
        select given from unnest(array[set_retention.finished, set_retention.dead]) as given
        where given not between interval '1 s' and interval '100 years' limit 1);
begin
    if wrong is not null then
        raise exception 'jobs are kept for 1 second to 100 years, not for %', wrong using errcode = 'ES004';
    end if;
    if set_retention.queue is null then
        insert into esteira.retention default values on conflict do nothing;
        update esteira.retention as retention
        set finished = coalesce(set_retention.finished, retention.finished), dead = coalesce(set_retention.dead, retention.dead);
    else
        insert into esteira.queue (name, created_at, keep_finished, keep_dead)
        values (set_retention.queue, esteira.now(), set_retention.finished, set_retention.dead)
        on conflict (name) do update
        set keep_finished = excluded.keep_finished, keep_dead = excluded.keep_dead, finished_kept_from = null;
    end if;
    update esteira.retention set finished_kept_from = null;
end
$$;
comment on function esteira.set_retention(text, interval, interval) is
'How long jobs are kept after their end: completed and cancelled ones (finished), dead letters (dead). For one queue, where null means as for all others; without a queue for all that have no rule of their own, where null means as it was.';
