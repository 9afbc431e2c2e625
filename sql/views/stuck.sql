-- No clock among its columns, so that a page of it is read along the primary key, however many are stuck.
create view esteira.stuck with (security_invoker = true) as
select job.id
from esteira.job_live as job
left join esteira.activity as activity on activity.job_id = job.id
left join esteira.task as task on task.name = job.task
where (job.status = 'running'
       and (esteira.now() - job.started_at > make_interval(secs => coalesce(job.timeout_seconds, task.timeout_seconds, 3600))
            or esteira.now() - greatest(job.updated_at, activity.updated_at) > interval '15 min'))
   or (job.status = 'queued' and esteira.now() - job.ready_at > interval '5 min');
comment on view esteira.stuck is
'The ids of jobs that run past their timeout or 15 min without progress, or that have been ready and unclaimed for 5 min. esteira.stuck_jobs shows them with the reason.';
