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
               sum(alive.slots - alive.running) filter (where job.task = any (alive.tasks))
        into serving, able, free
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
            -- Counted to a thousand: stuck_jobs explains each job of a long backlog.
            select case when count(*) <= 1000 then count(*)::text else 'more than 1000' end into ahead
            from (
                select
                from esteira.job_live as other
                where other.status = 'queued' and other.queue = job.queue and other.ready_at <= moment
                  and (other.priority > esteira.priority_number(job.priority)
                       or (other.priority = esteira.priority_number(job.priority) and (other.ready_at, other.id) < (job.ready_at, job.id)))
                limit 1001
            ) as before;
            if free > 0 then
                return query select 'ready', format('It has been ready since %s and is about to be claimed; %s jobs stand before it.', job.ready_at, ahead);
            else
                return query select 'workers_busy', format(
                    'All %s workers that can run it are busy; %s jobs stand before it in the queue "%s". More workers or slots would help.',
                    able, ahead, job.queue);
            end if;
        end if;
    end if;
end
$$;
comment on function esteira.explain(uuid) is
'Why the job is not running now, or what it is doing: a code for programs, a sentence for people.';
