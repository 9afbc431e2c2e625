-- Only the live table and the dead letter: counting history is for the statistics, not for a page that polls.
create view esteira.queue_stats with (security_invoker = true) as
with live as (
    select
        queue,
        count(*) filter (where status = 'queued' and ready_at <= moment) as ready,
        count(*) filter (where status = 'queued' and ready_at > moment) as scheduled,
        count(*) filter (where status = 'running') as running,
        count(*) filter (where status = 'waiting') as waiting,
        min(ready_at) filter (where status = 'queued' and ready_at <= moment) as oldest_ready_at
    from esteira.job_live, (select esteira.now() offset 0) as clock (moment)
    group by queue
), dead as (
    select queue, count(*) as dead from esteira.job_dead group by queue
), name as (
    select name as queue from esteira.queue union select queue from live union select queue from dead
)
select
    name.queue,
    coalesce(live.ready, 0) as ready, coalesce(live.scheduled, 0) as scheduled, coalesce(live.running, 0) as running,
    coalesce(live.waiting, 0) as waiting, coalesce(dead.dead, 0) as dead,
    setting.paused_at,
    live.oldest_ready_at, esteira.now() - live.oldest_ready_at as oldest_ready_age,
    (select count(*) from esteira.worker_status as worker
     where worker.state = 'alive' and (worker.queues is null or name.queue = any (worker.queues))) as workers,
    setting.keep_finished, setting.keep_dead
from name
left join esteira.queue as setting on setting.name = name.queue
left join live on live.queue = name.queue
left join dead on dead.queue = name.queue
order by name.queue;
comment on view esteira.queue_stats is 'How deep each queue is, the age of its oldest ready job, and how many living workers serve it.';
