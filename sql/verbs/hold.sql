-- The fence at the begin of a handler's completing transaction: nobody can take the job back until it ends, and the
-- settle at its end is sure to find the row. Progress and cancel requests go beside the row, so they do not wait.
create function esteira.hold(id uuid, attempt integer) returns boolean
language plpgsql
security definer
set search_path = pg_catalog, esteira, pg_temp
set enable_seqscan = off
as $$
#variable_conflict use_column
begin
    perform from esteira.job_live as job
    where job.id = hold.id and job.attempt = hold.attempt and job.status = 'running'
    for no key update;
    return found;
end
$$;
comment on function esteira.hold(uuid, integer) is
'Locks a running job for the rest of the transaction, if it still is at that attempt; false is a lost lease.';
