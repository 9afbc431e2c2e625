create function esteira.remove_dead(moment timestamptz, batch integer) returns bigint
language plpgsql
as $$
#variable_conflict use_column
declare
    ids uuid[];
begin
    with recursive hop (queue) as (
        select (select job.queue from esteira.job_dead as job order by job.queue limit 1)
        union all
        select (select job.queue from esteira.job_dead as job where job.queue > hop.queue order by job.queue limit 1)
        from hop
        where hop.queue is not null
    ), rule (queue, until) as (
        select hop.queue, remove_dead.moment - coalesce(queue.keep_dead, retention.dead)
        from hop
        cross join esteira.retention as retention
        left join esteira.queue as queue on queue.name = hop.queue
        where hop.queue is not null
    ), doomed as materialized (
        select expired.id
        from rule
        cross join lateral (
            select job.id
            from esteira.job_dead as job
            where job.queue = rule.queue and job.finished_at < rule.until
            order by job.finished_at
            limit remove_dead.batch
            for update skip locked
        ) as expired
        limit remove_dead.batch
    ), gone as (
        delete from esteira.job_dead as job
        where job.id = any (array(select doomed.id from doomed))
        returning job.id
    )
    select array_agg(gone.id) into ids from gone;
    perform esteira.remove_parts(ids);
    return coalesce(cardinality(ids), 0);
end
$$;
comment on function esteira.remove_dead(timestamptz, integer) is 'Internal: removes a batch of dead letters that are past their queue''s rule; returns how many.';
