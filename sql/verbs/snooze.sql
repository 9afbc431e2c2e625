create function esteira.snooze(id uuid, attempt integer, delay interval) returns text
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
    where job.id = snooze.id and job.attempt = snooze.attempt and job.status = 'running'
    for update;
    if not found then
        return null;
    end if;
    perform esteira.record_attempt(array[id], 'snoozed', null, null, moment);
    perform esteira.requeue(array[id], moment + delay, moment);
    return (select job.status from esteira.job as job where job.id = snooze.id order by job.updated_at desc limit 1);
end
$$;
comment on function esteira.snooze(uuid, integer, interval) is
'Puts a running job back until the delay is over; no failure is charged. Returns the status after it; null if the lease was lost.';
