create view esteira.task_stats with (security_invoker = true) as
with live as (
    select
        task,
        count(*) filter (where status = 'queued' and ready_at <= moment) as ready,
        count(*) filter (where status = 'queued' and ready_at > moment) as scheduled,
        count(*) filter (where status = 'running') as running,
        count(*) filter (where status = 'waiting') as waiting
    from esteira.job_live, (select esteira.now() offset 0) as clock (moment)
    group by task
), dead as (
    select task, count(*) as dead from esteira.job_dead group by task
)
select
    task.name as task, task.version, task.queue, esteira.priority_name(task.priority) as priority, task.max_attempts,
    task.retry_first_seconds, task.retry_max_seconds, task.timeout_seconds, task.executor, task.steps,
    task.unique_fields, task.unique_on_conflict, task.payload_schema, task.declared_at, task.paused_at,
    coalesce(live.ready, 0) as ready, coalesce(live.scheduled, 0) as scheduled, coalesce(live.running, 0) as running,
    coalesce(live.waiting, 0) as waiting, coalesce(dead.dead, 0) as dead,
    (select count(*) from esteira.worker_status as worker
     where worker.state = 'alive' and task.name = any (worker.tasks)) as workers
from esteira.task as task
left join live on live.task = task.name
left join dead on dead.task = task.name
order by task.name;
comment on view esteira.task_stats is 'Every task that a worker ever declared: its policy, its jobs that have not ended well, how many living workers know it.';
