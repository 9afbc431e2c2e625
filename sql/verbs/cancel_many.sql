-- A running job is only asked: the flag goes beside the row. `for key share` keeps the job from ending in between, yet
-- does not wait for a handler's open completing transaction, which holds no more than `for no key update`.
-- A job may begin or go back to its queue between two looks, so they are repeated until each has its answer.
create function esteira.cancel_many(ids uuid[], reason text default 'cancelled') returns table (id uuid, status text)
language plpgsql
security definer
set search_path = pg_catalog, esteira, pg_temp
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    moment timestamptz;
    open uuid[] := ids;
    stopped uuid[];
    asked uuid[];
begin
    loop
        stopped := array(
            select job.id from esteira.job_live as job
            where job.id = any (open) and job.status in ('queued', 'waiting')
            order by job.id
            for update);
        -- After the wait: it may have been claimed and given back meanwhile, and does not end before it began.
        moment := esteira.now();
        if cardinality(stopped) > 0 then
            perform esteira.finish(stopped, 'cancelled', cancel_many.reason, moment);
        end if;
        return query select done, 'cancelled' from unnest(stopped) as done;
        begin
            asked := array(
                select job.id from esteira.job_live as job
                where job.id = any (open) and job.status = 'running'
                order by job.id
                for key share);
            open := array(
                select job.id from esteira.job_live as job
                where job.id = any (open) and job.id not in (select unnest(asked)));
            if cardinality(open) > 0 then
                raise exception using errcode = 'ES000';
            end if;
            insert into esteira.activity as activity (job_id, attempt, progress, updated_at, cancel_requested_at)
            select job.id, job.attempt, job.progress, moment, moment from esteira.job_live as job where job.id = any (asked) order by job.id
            on conflict (job_id) do update
            set cancel_requested_at = coalesce(activity.cancel_requested_at, excluded.cancel_requested_at);
            return query select done, 'running' from unnest(asked) as done;
            return;
        -- Whoever waited for a job that went back to its queue meanwhile holds it all the same, and so may others who came to
        -- cancel it: as long as each holds it none of them can. So all is let go.
        exception when sqlstate 'ES000' then
            open := ids;
        end;
    end loop;
end
$$;
comment on function esteira.cancel_many(uuid[], text) is
'Cancels those of these jobs that are queued or waiting (status cancelled) and asks the running ones to stop (status running). Those that have ended, or never were, are left out of the answer.';
