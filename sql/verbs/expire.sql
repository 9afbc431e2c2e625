create function esteira.expire(batch integer default 5000) returns integer
language plpgsql
security definer
set search_path = pg_catalog, esteira, pg_temp
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    moment timestamptz := esteira.now();
    late uuid[];
begin
    late := array(
        select job.id from esteira.job_live as job
        where job.expires_at <= moment and job.attempt = 0 and job.status <> 'running'
        order by job.expires_at
        limit expire.batch
        for update skip locked);
    if cardinality(late) > 0 then
        perform esteira.finish(late, 'cancelled', 'expired', moment);
    end if;
    return cardinality(late);
end
$$;
comment on function esteira.expire(integer) is
'Cancels jobs that have not begun by their expires_at, at most a batch of them, reason expired; returns how many. The tick calls it; claims pass such jobs over anyway.';
