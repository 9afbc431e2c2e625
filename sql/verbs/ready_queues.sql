-- Hops from one queue to the next along the index instead of reading every queued row for a `select distinct`.
create function esteira.ready_queues() returns setof text
language sql stable
security definer
set search_path = pg_catalog, esteira, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
as $$
with recursive hop (queue) as (
    select (select job.queue from esteira.job_live as job where job.status = 'queued' order by job.queue limit 1)
    union all
    select (select job.queue from esteira.job_live as job
            where job.status = 'queued' and job.queue > hop.queue order by job.queue limit 1)
    from hop
    where hop.queue is not null
)
select queue from hop where queue is not null
$$;
comment on function esteira.ready_queues() is 'The queues that hold queued jobs, ready or not.';
