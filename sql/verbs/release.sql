create function esteira.release(ids uuid[], attempts integer[]) returns integer
language plpgsql
security definer
set search_path = pg_catalog, esteira, pg_temp
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    moment timestamptz := esteira.now();
    owned uuid[];
begin
    with held as materialized (
        select job.id, job.attempt
        from esteira.job_live as job
        where job.id = any (release.ids) and job.status = 'running'
        order by job.id
        for update
    )
    select array_agg(held.id) into owned
    from held
    join unnest(release.ids, release.attempts) as given (id, attempt) using (id, attempt);
    perform esteira.record_attempt(owned, 'released', null, null, moment);
    perform esteira.requeue(owned, null, moment);
    return coalesce(cardinality(owned), 0);
end
$$;
comment on function esteira.release(uuid[], integer[]) is
'Puts running jobs back unfinished, uncharged: a worker that shuts down. Returns how many it still held.';
