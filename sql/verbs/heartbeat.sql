create function esteira.heartbeat(
    worker_id uuid, held_slots integer default 0, stalled_engines integer[] default null, stalled_for interval default null
) returns table (engines integer, cancel_ids uuid[], draining boolean)
language plpgsql
security definer
set search_path = pg_catalog, esteira, pg_temp
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
declare
    moment timestamptz := esteira.now();
begin
    update esteira.worker as worker
    set beats = worker.beats + 1, beat_at = moment, held_slots = heartbeat.held_slots,
        stalled_engines = heartbeat.stalled_engines, stalled_at = moment - heartbeat.stalled_for
    where worker.id = heartbeat.worker_id and worker.lost_at is null and worker.stopped_at is null;
    if not found then
        return;
    end if;
    return query
    select
        (select sum(worker.engines)::integer from esteira.worker as worker where worker.lost_at is null and worker.stopped_at is null),
        array(
            select activity.job_id
            from esteira.activity as activity
            join esteira.job_live as job on job.id = activity.job_id
            where activity.cancel_requested_at is not null and job.worker_id = heartbeat.worker_id),
        (select worker.drain_at is not null from esteira.worker as worker where worker.id = heartbeat.worker_id);
end
$$;
comment on function esteira.heartbeat is
'Keeps the worker''s lease, and notes what keeps its slots from taking jobs: handlers that do not stop, engines that stand still. Returns how many engines are alive in all, which of this worker''s jobs somebody asked to stop, and whether it is to drain and leave; no row at all means that the worker was given up, or never registered.';
