create function esteira.explain(job_id uuid) returns table (code text, detail text)
language plpgsql
security definer
set search_path = pg_catalog, esteira, pg_temp
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
declare
    moment timestamptz := esteira.now();
    job esteira.jobs;
    worker esteira.worker_status;
    serving integer;
    able integer;
    free bigint;
    able_slots bigint;
    known text[];
    trouble text;
    ahead text;
    paused record;
begin
    select * into job from esteira.jobs as found where found.id = explain.job_id;
    if job.id is null then
        return query select 'not_found', format('There is no job %s.', job_id);
    elsif job.status = 'completed' then
        return query select 'completed', format('It completed at %s.', job.finished_at);
    elsif job.status = 'dead' then
        return query select 'dead', format(
            'It is dead (%s) after %s of %s attempts and %s crashes; the last error was %s: %s. `select esteira.retry(''%s'')` gives it another life.',
            job.reason, job.failures, job.max_attempts, job.crashes, job.error ->> 'type', job.error ->> 'message', job.id);
    elsif job.status = 'cancelled' then
        return query select
            case job.reason when 'expired' then 'expired' else 'cancelled' end,
            case job.reason
                when 'expired' then format('It had not begun by %s, when it expired.', job.expires_at)
                when 'purged' then format('It was cancelled at %s, when its queue was purged.', job.finished_at)
                else format('It was cancelled at %s.', job.finished_at)
            end;
    elsif job.status = 'waiting' then
        return query select 'waiting', 'It waits for something outside.';
    elsif job.status = 'running' then
        select * into worker from esteira.worker_status as found where found.id = job.worker_id;
        if worker.state is null or worker.state not in ('alive', 'draining') then
            return query select 'worker_silent', format(
                'Its worker %s has not been heard of for %s s. Any running worker takes the job back once the lease is over; start one if there is none.',
                job.worker_id, round(extract(epoch from worker.silent_for)));
        elsif job.cancel_requested_at is not null then
            return query select 'cancelling', format('It was asked to stop at %s and has not stopped yet.', job.cancel_requested_at);
        else
            return query select 'running', format(
                'It has been running on %s (process %s, engine %s) since %s%s, at %s %%.', worker.hostname, worker.pid, job.engine,
                job.started_at, coalesce(', in step ' || job.current_step, ''), round((job.progress * 100)::numeric));
        end if;
    elsif job.expires_at <= moment and job.attempt = 0 then
        return query select 'expired', format('It had not begun by %s, when it expired, and is about to be cancelled.', job.expires_at);
    elsif job.ready_at > moment and job.failures > 0 then
        return query select 'retrying', format(
            'It failed (%s of %s: %s: %s) and runs again at %s.', job.failures, job.max_attempts,
            job.error ->> 'type', job.error ->> 'message', job.ready_at);
    elsif job.ready_at > moment then
        return query select 'scheduled', format('It is scheduled for %s.', job.ready_at);
    else
        select what, name, since into paused
        from (
            select 'queue', queue.name, queue.paused_at from esteira.queue as queue where queue.name = job.queue
            union all
            select 'task', task.name, task.paused_at from esteira.task as task where task.name = job.task
        ) as stopped (what, name, since)
        where since is not null
        limit 1;
        if found then
            return query select 'paused', format(
                'The %s "%s" has been paused since %s: nothing of it is claimed until it is resumed.', paused.what, paused.name, paused.since);
            return;
        end if;
        select count(*), count(*) filter (where job.task = any (alive.tasks)),
               sum(alive.free_slots) filter (where job.task = any (alive.tasks)),
               sum(alive.able_slots) filter (where job.task = any (alive.tasks)),
               min(format(' %s (process %s): %s', alive.hostname, alive.pid, alive.trouble))
                   filter (where job.task = any (alive.tasks) and alive.trouble is not null)
        into serving, able, free, able_slots, trouble
        from esteira.worker_status as alive
        where alive.state = 'alive' and (alive.queues is null or job.queue = any (alive.queues));
        if serving = 0 then
            return query select 'no_worker', format(
                'No worker serves the queue "%s". Start one: esteira worker --tasks MODULE --queues %s', job.queue, job.queue);
        elsif able = 0 then
            return query select 'task_unknown', format(
                'No worker on the queue "%s" knows the task "%s". Start one with the module that declares it: esteira worker --tasks MODULE',
                job.queue, job.task);
        else
            -- Of what stands before it, only what those workers may claim makes it wait.
            select array_agg(distinct task.name) into known
            from esteira.worker_status as alive
            join esteira.task as task on task.name = any (alive.tasks) and task.paused_at is null
            where alive.state = 'alive' and (alive.queues is null or job.queue = any (alive.queues)) and job.task = any (alive.tasks);
            -- Looked at to a thousand: stuck_jobs explains each job of a long backlog.
            select case when count(*) <= 1000 then '' when bool_and(before.task = any (known)) then 'more than ' else 'at least ' end
                || case count(*) filter (where before.task = any (known))
                    when 1 then '1 job stands'
                    else least(count(*) filter (where before.task = any (known)), 1000) || ' jobs stand'
                end
            into ahead
            from (
                select other.task
                from esteira.job_live as other
                where other.status = 'queued' and other.queue = job.queue and other.ready_at <= moment
                  and (other.priority > esteira.priority_number(job.priority)
                       or (other.priority = esteira.priority_number(job.priority) and (other.ready_at, other.id) < (job.ready_at, job.id)))
                limit 1001
            ) as before;
            if free > 0 then
                return query select 'ready', format('It has been ready since %s and is about to be claimed; %s before it.', job.ready_at, ahead);
            else
                return query select case when able_slots > 0 then 'workers_busy' else 'workers_held' end, format(
                    '%s %s; %s before it in the queue "%s". More workers or slots would help.%s',
                    case able when 1 then 'The worker that can run it' else format('All %s workers that can run it', able) end,
                    case when able_slots > 0 then case able when 1 then 'is busy' else 'are busy' end else 'can take no job' end,
                    ahead, job.queue, trouble);
            end if;
        end if;
    end if;
end
$$;
comment on function esteira.explain(uuid) is
'Why the job is not running now, or what it is doing: a code for programs, a sentence for people.';
