create function esteira.rescue(worker_id uuid) returns integer
language plpgsql
security definer
set search_path = pg_catalog, esteira, pg_temp
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    moment timestamptz := esteira.now();
    lost uuid[];
begin
    update esteira.worker as worker
    set lost_at = moment
    where worker.id = rescue.worker_id and worker.lost_at is null;
    perform esteira.disconnect(format('esteira/%s', worker_id));
    lost := array(
        select job.id from esteira.job_live as job
        where job.worker_id = rescue.worker_id and job.status = 'running'
        order by job.id
        for update);
    perform esteira.lose(lost, 'lost', 'the worker stopped beating', moment);
    perform esteira.notify_workers(array(select job.queue from esteira.job_live as job where job.id = any (lost)));
    return cardinality(lost);
end
$$;
comment on function esteira.rescue(uuid) is
'Gives a worker up and takes its jobs back; returns how many. Harmless to one that lives after all: its writes are fenced, and it registers anew.';
