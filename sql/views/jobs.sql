create view esteira.jobs with (security_invoker = true) as
select
    job.id, job.queue, job.task, esteira.priority_name(job.priority) as priority, job.status, job.reason,
    case when job.status = 'completed' then job.progress else coalesce(activity.progress, job.progress) end as progress,
    coalesce(activity.progress_message, job.progress_message) as progress_message,
    coalesce(activity.current_step, job.current_step) as current_step,
    job.attempt, job.failures, coalesce(job.max_attempts, task.max_attempts, 3) as max_attempts, job.crashes, job.generation,
    -- Below infinity, which is no number to JSON; the backoff itself ends at a year.
    least(coalesce(job.retry_first_seconds, task.retry_first_seconds, 5), 3.2e9) as retry_first_seconds,
    least(coalesce(job.retry_max_seconds, task.retry_max_seconds, 3600), 3.2e9) as retry_max_seconds,
    job.worker_id, job.engine,
    coalesce(job.timeout_seconds, task.timeout_seconds, 3600) as timeout_seconds,
    job.created_at, greatest(job.updated_at, activity.updated_at) as updated_at, job.run_at, job.ready_at,
    job.expires_at, job.started_at, job.finished_at,
    activity.cancel_requested_at,
    esteira.now() - job.created_at as age,
    coalesce(job.started_at, esteira.now()) - job.ready_at as wait,
    case when job.status <> 'queued' then coalesce(job.finished_at, esteira.now()) - job.started_at end as run_time,
    job.error, job.result_error, job.unique_key, job.tags, job.metadata, job.payload, job.result
from esteira.job as job
left join esteira.activity as activity on activity.job_id = job.id
left join esteira.task as task on task.name = job.task;
comment on view esteira.jobs is 'Every job with every column that a person wants. Filter by status where you can: history then stays unread.';
comment on column esteira.jobs.wait is 'From ready to its latest claim, or to now.';
comment on column esteira.jobs.run_time is 'Of the latest attempt.';
comment on column esteira.jobs.max_attempts is 'Its own, else its task''s, else 3.';
comment on column esteira.jobs.retry_first_seconds is 'The backoff after the first failure: its own, else its task''s, else 5.';
comment on column esteira.jobs.retry_max_seconds is 'The longest backoff: its own, else its task''s, else 3600.';
