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
    (select count(*) from esteira.job_live as job where job.worker_id = worker.id) as running,
    worker.started_at, worker.beat_at, esteira.now() - worker.beat_at as silent_for,
    coalesce(worker.lost_at, worker.stopped_at) as ended_at
from esteira.worker as worker;
comment on view esteira.worker_status is 'Workers of the last day.';
comment on column esteira.worker_status.state is
'alive; silent (no heartbeat for 10 s, not given up yet: it needs another worker''s ticks); draining (asked to stop, claims nothing more); lost (given up, jobs taken back); stopped (left in good order).';
