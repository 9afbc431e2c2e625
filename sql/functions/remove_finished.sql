-- For queues that keep less than the days are kept. Each goes on where it stopped last: deleted index entries stay until vacuum, and
-- stepping over them at every batch would be quadratic under a held snapshot. Once a day it begins at the beginning, for what was
-- committed late.
create function esteira.remove_finished(longest interval, moment timestamptz, batch integer) returns bigint
language plpgsql
as $$
#variable_conflict use_column
declare
    rule record;
    removed bigint := 0;
    ids uuid[];
    last timestamptz;
begin
    -- The tick knows the queues of ready jobs only.
    if (select retention.finished from esteira.retention as retention) < longest then
        with recursive hop (queue) as (
            select (select job.queue from esteira.job_finished as job order by job.queue limit 1)
            union all
            select (select job.queue from esteira.job_finished as job where job.queue > hop.queue order by job.queue limit 1)
            from hop
            where hop.queue is not null
        )
        insert into esteira.queue (name, created_at)
        select hop.queue, moment from hop where hop.queue is not null
        on conflict (name) do nothing;
    end if;
    for rule in
        select queue.name, coalesce(queue.finished_kept_from, '-infinity') as since,
               remove_finished.moment - coalesce(queue.keep_finished, retention.finished) as until
        from esteira.queue as queue
        cross join esteira.retention as retention
        where coalesce(queue.keep_finished, retention.finished) < remove_finished.longest
        order by queue.name
        for no key update of queue skip locked
    loop
        with doomed as materialized (
            select job.id, job.finished_at
            from esteira.job_finished as job
            where job.queue = rule.name and job.finished_at >= rule.since and job.finished_at < rule.until
            order by job.finished_at
            limit remove_finished.batch - removed
            for update skip locked
        ), gone as (
            delete from esteira.job_finished as job
            where job.id = any (array(select doomed.id from doomed))
              and job.finished_at >= (select min(doomed.finished_at) from doomed)
              and job.finished_at <= (select max(doomed.finished_at) from doomed)
            returning job.id, job.finished_at
        )
        select array_agg(gone.id), max(gone.finished_at) into ids, last from gone;
        perform esteira.remove_parts(ids);
        removed := removed + coalesce(cardinality(ids), 0);
        update esteira.queue as queue
        set finished_kept_from = case
            when removed >= remove_finished.batch then last
            when (rule.since at time zone 'utc')::date >= (rule.until at time zone 'utc')::date or rule.since = '-infinity' then rule.until
        end
        where queue.name = rule.name;
        exit when removed >= remove_finished.batch;
    end loop;
    return removed;
end
$$;
comment on function esteira.remove_finished(interval, timestamptz, integer) is
'Internal: removes a batch of completed and cancelled jobs whose queue keeps them for less than the longest rule; returns how many.';
