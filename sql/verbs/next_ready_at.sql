-- The clock is read once, beside the scan: as a volatile condition it would be no bound of the index, and every ready job
-- would be read first (35 ms of 100,000).
create function esteira.next_ready_at(queues text[], tasks text[]) returns timestamptz
language sql
security definer
set search_path = pg_catalog, esteira, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
as $$
select min(coming.ready_at)
from (select esteira.now() offset 0) as clock (moment)
cross join unnest(queues) as lane (queue)
cross join generate_series(0, 3) as level (priority)
cross join lateral (
    select job.ready_at
    from esteira.job_live as job
    where job.status = 'queued' and job.queue = lane.queue and job.priority = level.priority::smallint
      and job.ready_at > clock.moment and job.task = any (tasks)
    order by job.ready_at
    limit 1
) as coming
$$;
comment on function esteira.next_ready_at(text[], text[]) is
'When the next future job of these queues and tasks becomes ready, so that an idle engine is there at that moment; null if there is none.';
