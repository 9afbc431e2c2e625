create function esteira.retry(id uuid) returns uuid
language plpgsql
security definer
set search_path = pg_catalog, esteira, pg_temp
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    seen esteira.job;
begin
    -- It may end between the two looks, and so may the live job that has its key.
    loop
        perform esteira.retry_many(array[retry.id]);
        if found then
            return id;
        end if;
        select * into seen from esteira.job as job where job.id = retry.id;
        if not found then
            perform esteira.missing(retry.id);
        elsif seen.status not in ('dead', 'cancelled') then
            raise exception 'job % is %; only dead and cancelled jobs can be retried', retry.id, seen.status using errcode = 'ES002';
        elsif exists (select from esteira.job_live as job where job.task = seen.task and job.unique_key = seen.unique_key) then
            raise exception 'job % has the unique key "%", and so has a live job of its task', retry.id, seen.unique_key using errcode = 'ES003';
        end if;
    end loop;
end
$$;
comment on function esteira.retry(uuid) is
'Begins the next generation of a dead or cancelled job: failures and crashes at 0, no expiry, finished steps kept, the attempt number goes on rising. Returns its id; raises ES001 (no such job), ES002 (another status), ES003 (a live job has its unique key).';
