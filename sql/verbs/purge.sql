create function esteira.purge(queue text, batch integer default 10000) returns integer
language sql
security definer
set search_path = pg_catalog, esteira, pg_temp
set enable_seqscan = off
set jit = off
as $$
select count(*)::integer
from esteira.cancel_many(
    array(
        select id
        from (
            select id
            from (
                select job.id from esteira.job_live as job
                where job.queue = purge.queue and job.status = 'queued'
                limit purge.batch
                for update skip locked) as queued
            union all
            select id
            from (
                select job.id from esteira.job_live as job
                where job.queue = purge.queue and job.status = 'waiting'
                limit purge.batch
                for update skip locked) as waiting
        ) as job
        limit purge.batch),
    'purged') as purged
where purged.status = 'cancelled'
$$;
comment on function esteira.purge(text, integer) is
'Cancels the jobs of a queue that do not run, at most a batch of them, reason purged; returns how many. Repeat it until it returns 0. They can be retried like any cancelled job.';
