create function esteira.remove_dead(moment timestamptz, batch integer) returns bigint
language plpgsql
as $$
#variable_conflict use_column
declare
    ids uuid[];
begin
    with doomed as materialized (
        select job.id
        from esteira.job_dead as job
        cross join esteira.retention as retention
        left join esteira.queue as queue on queue.name = job.queue and queue.keep_dead is not null
        -- The shortest rule is what the index is asked for.
        where job.finished_at < remove_dead.moment - (
                  select least(retention.dead, (select min(queue.keep_dead) from esteira.queue as queue)) from esteira.retention as retention)
          and job.finished_at < remove_dead.moment - coalesce(queue.keep_dead, retention.dead)
        order by job.finished_at
        limit remove_dead.batch
        for update of job skip locked
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
