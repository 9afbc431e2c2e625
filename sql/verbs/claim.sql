-- Takes up to `wanted` ready jobs, the lanes in the order given: a lane is a queue and a priority, with a floor.
--
-- The floor is the (ready_at, id) that the calling engine claimed last in that lane. Entries of jobs that were taken stay in
-- the index while any snapshot could see them; a claim that starts at the head steps over all of them, again and again
-- (37,000 → 4,400 claims/s over eight rounds under a held snapshot). Starting at the floor it steps over none (50,000, flat).
-- What lies below the floor (late commits, rolled-back claims) is found by a sweep: the same call with floors of -infinity.
--
-- Both parts of the floor are needed: jobs of one bulk insert tie on ready_at (42,000 claims/s by time alone, 210,000 by the pair).
-- One lateral index scan a lane, in the index's order: `queue = any(…) order by` sorts every ready row (10 ms of 30,000; 0.15 ms).
-- The outer limit stops pulling, so no more rows are locked than are taken. Rows are updated by ctid, since ids would be
-- looked up anew, and an `id in (select … limit … skip locked)` locked 50 rows for a limit of 1 under some plans.
-- Plans are pinned: one cached while the table held 20 rows went on sorting 170,000.
create function esteira.claim(
    worker_id    uuid,
    engine       integer,
    wanted       integer,
    tasks        text[],
    queues       text[],
    priorities   smallint[],
    floor_times  timestamptz[],
    floor_ids    uuid[]
) returns table (
    id uuid, queue text, task text, priority smallint, ready_at timestamptz, payload jsonb, attempt integer,
    failures integer, crashes integer, timeout_seconds double precision, claimed_at timestamptz)
language plpgsql
security definer
set search_path = pg_catalog, esteira, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
    moment timestamptz := esteira.now();
    paused_queues text[] := array(select queue.name from esteira.queue as queue where queue.paused_at is not null);
    paused_tasks text[] := array(select task.name from esteira.task as task where task.paused_at is not null);
    able text[] := tasks;
begin
    if cardinality(paused_tasks) > 0 then
        able := array(select name from unnest(tasks) as name where name <> all (paused_tasks));
    end if;
    return query
    with ready as materialized (
        select candidate.ctid
        from unnest(claim.queues, claim.priorities, claim.floor_times, claim.floor_ids) as lane (queue, priority, floor_time, floor_id)
        cross join lateral (
            select job.ctid
            from esteira.job_live as job
            where job.status = 'queued'
              and lane.queue <> all (paused_queues)
              and cardinality(able) > 0
              and job.queue = lane.queue
              and job.priority = lane.priority
              and job.ready_at <= moment
              and (job.ready_at, job.id) > (lane.floor_time, lane.floor_id)
              and job.task = any (able)
              and (job.expires_at is null or job.expires_at > moment or job.attempt > 0)
            order by job.ready_at, job.id
            limit claim.wanted
            for update of job skip locked
        ) as candidate
        limit claim.wanted
    )
    update esteira.job_live as job
    set status = 'running', attempt = job.attempt + 1, worker_id = claim.worker_id, engine = claim.engine,
        started_at = moment, updated_at = moment
    where job.ctid = any (array(select ready.ctid from ready))
    returning job.id, job.queue::text, job.task::text, job.priority::smallint, job.ready_at::timestamptz, job.payload, job.attempt::integer,
              job.failures::integer, job.crashes::integer, job.timeout_seconds::double precision, job.started_at;
    if not found then
        return query select null::uuid, null::text, null::text, null::smallint, null::timestamptz, null::jsonb, null::integer,
                            null::integer, null::integer, null::double precision, moment;
    end if;
end
$$;
comment on function esteira.claim is
'Makes up to `wanted` ready jobs of these tasks running jobs of this engine, lane by lane, and returns them in no particular order. With nothing to take it returns one row that is null but for claimed_at, the queue''s clock.';
