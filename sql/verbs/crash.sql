create function esteira.crash(worker_id uuid, engine integer, message text) returns integer
language plpgsql
security definer
set search_path = pg_catalog, esteira, pg_temp
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    lost uuid[];
begin
    perform esteira.disconnect(format('esteira/%s/%s', worker_id, engine));
    lost := array(
        select job.id from esteira.job_live as job
        where job.worker_id = crash.worker_id and job.engine = crash.engine and job.status = 'running'
        order by job.id
        for update);
    perform esteira.lose(lost, 'crashed', message, esteira.now());
    perform esteira.notify_workers(array(select job.queue from esteira.job_live as job where job.id = any (lost)));
    return cardinality(lost);
end
$$;
comment on function esteira.crash(uuid, integer, text) is
'Takes back the jobs of an engine process that died under its living supervisor, and returns how many.';
