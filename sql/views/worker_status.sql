create view esteira.worker_status with (security_invoker = true) as
select
    worker.id, worker.hostname, worker.pid, worker.version,
    case
        when worker.lost_at is not null then 'lost'
        when worker.stopped_at is not null then 'stopped'
        when esteira.now() - worker.beat_at > interval '10 s' then 'silent'
        when worker.drain_at is not null then 'draining'
        else 'alive'
    end as state,
    worker.queues, worker.tasks, worker.engines, worker.slots,
    taken.running, worker.held_slots, worker.stalled_engines, worker.stalled_at,
    taken.able_slots, greatest(0, taken.able_slots - taken.moving) as free_slots,
    nullif(concat_ws(' ',
        case when worker.held_slots > 0 then format(
            'Handlers that went on after their timeout or cancel hold %s of its %s slots; executor="process" can be killed.',
            worker.held_slots, worker.slots) end,
        case when worker.stalled_at is not null then format(
            'Since %s %s of its %s engines %s taken no job: a handler blocks the event loop (await asyncio.to_thread, or make it a plain function) or a job runs alone after crashes; its log says which.',
            date_trunc('second', worker.stalled_at), cardinality(worker.stalled_engines), worker.engines,
            case cardinality(worker.stalled_engines) when 1 then 'has' else 'have' end) end,
        case when worker.held_slots > 0 or worker.stalled_at is not null then
            'Where they do not end by themselves, start another worker and `esteira drain ' || worker.id || '`.' end), '') as trouble,
    worker.started_at, worker.beat_at, esteira.now() - worker.beat_at as silent_for,
    coalesce(worker.lost_at, worker.stopped_at) as ended_at
from esteira.worker as worker
cross join lateral (
    select
        count(*) as running,
        count(*) filter (where worker.stalled_engines is null or job.engine <> all (worker.stalled_engines)) as moving,
        worker.slots - worker.held_slots
            - coalesce(cardinality(worker.stalled_engines), 0) * (worker.slots / worker.engines) as able_slots
    from esteira.job_live as job
    where job.worker_id = worker.id
) as taken;
comment on view esteira.worker_status is 'Workers of the last day.';
comment on column esteira.worker_status.state is
'alive; silent (no heartbeat for 10 s, not given up yet: it needs another worker''s ticks); draining (asked to stop, claims nothing more); lost (given up, jobs taken back); stopped (left in good order).';
comment on column esteira.worker_status.able_slots is
'Slots that take jobs: those that are neither held by a handler that does not stop, nor of an engine that stands still.';
comment on column esteira.worker_status.free_slots is
'Those of the able slots that are not busy: they can take a job now.';
comment on column esteira.worker_status.trouble is 'What keeps slots from taking jobs though nothing runs in them, and what to do; null: nothing.';
