-- A running job is only asked: the flag goes beside the row. `for key share` keeps the job from ending in between, yet
-- does not wait for a handler's open completing transaction, which holds no more than `for no key update`.
create function esteira.cancel(id uuid) returns text
language plpgsql
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    moment timestamptz := esteira.now();
    seen text;
begin
    loop
        select job.status into seen from esteira.job as job where job.id = cancel.id;
        if seen is null then
            raise exception 'no job %', cancel.id using errcode = 'ES001';
        elsif seen in ('completed', 'dead', 'cancelled') then
            raise exception 'job % is %, so there is nothing to cancel', cancel.id, seen using errcode = 'ES002';
        elsif seen = 'running' then
            perform from esteira.job_live as job where job.id = cancel.id and job.status = 'running' for key share;
            if found then
                insert into esteira.activity as activity (job_id, attempt, updated_at, cancel_requested_at)
                select job.id, job.attempt, moment, moment from esteira.job_live as job where job.id = cancel.id
                on conflict (job_id) do update
                set cancel_requested_at = coalesce(activity.cancel_requested_at, excluded.cancel_requested_at);
                return 'running';
            end if;
        else
            perform from esteira.job_live as job where job.id = cancel.id and job.status in ('queued', 'waiting') for update;
            if found then
                perform esteira.finish(array[id], 'cancelled', 'cancelled', moment);
                return 'cancelled';
            end if;
        end if;
    end loop;
end
$$;
comment on function esteira.cancel(uuid) is
'Cancels a queued or waiting job at once and returns cancelled; asks a running one to stop and returns running. Raises ES001 (no such job), ES002 (it has ended).';
