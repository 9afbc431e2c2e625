create function esteira.pause(queue text) returns timestamptz
language sql
security definer
set search_path = pg_catalog, esteira, pg_temp
as $$
insert into esteira.queue as queue (name, created_at, paused_at)
values (pause.queue, esteira.now(), esteira.now())
on conflict (name) do update set paused_at = coalesce(queue.paused_at, excluded.paused_at)
returning paused_at
$$;
comment on function esteira.pause(text) is
'Claims that begin after its commit take nothing of this queue; what runs goes on. Returns since when.';
