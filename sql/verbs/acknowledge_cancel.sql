create function esteira.acknowledge_cancel(id uuid, attempt integer) returns text
language plpgsql
security definer
set search_path = pg_catalog, esteira, pg_temp
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    moment timestamptz := esteira.now();
begin
    perform from esteira.job_live as job
    where job.id = acknowledge_cancel.id and job.attempt = acknowledge_cancel.attempt and job.status = 'running'
    for update;
    if not found then
        return null;
    end if;
    perform esteira.record_attempt(array[id], 'cancelled', null, null, moment);
    perform esteira.finish(array[id], 'cancelled', 'cancelled', moment);
    return 'cancelled';
end
$$;
comment on function esteira.acknowledge_cancel(uuid, integer) is
'The worker''s word that it stopped a running job that somebody cancelled. Returns cancelled; null if the lease was lost.';
