-- Locks the live job only where that one is to go: one asked for again while its completion is under way is the answer at once.
create function esteira.take_unique(task text, unique_key text, on_conflict text, new_id uuid, moment timestamptz)
returns table (id uuid, outcome text)
language plpgsql
as $$
#variable_conflict use_column
declare
    live record;
begin
    loop
        select job.id, job.attempt > 0 or job.status = 'running' as has_begun, job.expires_at <= moment as late into live
        from esteira.job_live as job
        where job.task = take_unique.task and job.unique_key = take_unique.unique_key;
        if not found then
            return query select new_id, 'enqueued';
            return;
        end if;
        exit when live.has_begun or (on_conflict <> 'replace' and live.late is not true);
        -- It may begin or end while we wait for it: then all is looked at again.
        perform from esteira.job_live as job where job.id = live.id and job.attempt = 0 and job.status <> 'running' for update;
        continue when not found;
        if live.late then
            perform esteira.finish(array[live.id], 'cancelled', 'expired', moment);
            return query select new_id, 'enqueued';
        else
            delete from esteira.job_live as job where job.id = live.id;
            return query select live.id, 'replaced';
        end if;
        return;
    end loop;
    return query select live.id, case on_conflict when 'return' then 'existing' else 'unique_conflict' end;
end
$$;
comment on function esteira.take_unique(text, text, text, uuid, timestamptz) is
'Internal: what becomes of a new job with a unique key, and its id: enqueued; replaced (the live job made way, and its id is to be used); existing; unique_conflict. A live job that has expired is no longer in the way.';
