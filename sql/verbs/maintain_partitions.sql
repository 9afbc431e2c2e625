create function esteira.maintain_partitions(days integer default 14) returns integer
language sql
security definer
set search_path = pg_catalog, esteira, pg_temp
as $$
select count(*)::integer
from generate_series(0, days) as ahead
where esteira.make_day(esteira.now() + make_interval(days => ahead))
$$;
comment on function esteira.maintain_partitions(integer) is
'Makes the partitions of finished jobs for today and the days ahead; returns how many were missing.';
