create function esteira.retire(worker_id uuid) returns integer
language plpgsql
security definer
set search_path = pg_catalog, esteira, pg_temp
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    held uuid[];
begin
    update esteira.worker as worker
    set stopped_at = esteira.now()
    where worker.id = retire.worker_id and worker.stopped_at is null;
    perform esteira.disconnect(format('esteira/%s', worker_id));
    held := array(
        select job.id from esteira.job_live as job
        where job.worker_id = retire.worker_id and job.status = 'running'
        order by job.id
        for update);
    perform esteira.record_attempt(held, 'released', null, null, esteira.now());
    perform esteira.requeue(held, null, esteira.now());
    return cardinality(held);
end
$$;
comment on function esteira.retire(uuid) is
'A worker leaves in good order: its engines'' sessions end, and whatever it still held goes back uncharged. Returns how many.';
