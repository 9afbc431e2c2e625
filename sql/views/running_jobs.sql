create view esteira.running_jobs with (security_invoker = true) as
select id, queue, task, worker_id, engine, attempt, started_at, run_time, progress, progress_message, current_step, cancel_requested_at, timeout_seconds
from esteira.jobs
where status = 'running'
order by started_at;
comment on view esteira.running_jobs is 'What runs now, the longest-running first.';
