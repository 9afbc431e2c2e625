create view esteira.dead_letter with (security_invoker = true) as
select id, queue, task, reason, error ->> 'type' as error_type, error ->> 'message' as error_message,
       failures, max_attempts, crashes, current_step, created_at, finished_at, payload
from esteira.jobs
where status = 'dead'
order by finished_at desc;
comment on view esteira.dead_letter is 'Jobs that failed for good, the latest first. select esteira.retry(id) gives one another life.';
