create function esteira.discard_many(ids uuid[]) returns setof uuid
language sql
security definer
set search_path = pg_catalog, esteira, pg_temp
set enable_seqscan = off
as $$
with dead as materialized (
    select job.id from esteira.job_dead as job where job.id = any (discard_many.ids) order by job.id for update
), gone as (
    delete from esteira.job_dead as job using dead where job.id = dead.id returning job.id
), steps as (
    delete from esteira.step as step using gone where step.job_id = gone.id
), attempts as (
    delete from esteira.attempt as attempt using gone where attempt.job_id = gone.id
)
select gone.id from gone
$$;
comment on function esteira.discard_many(uuid[]) is
'Removes those of these jobs that are dead, with their steps and attempts, for good; returns their ids.';
