create view esteira.stuck_jobs with (security_invoker = true) as
select stuck.id, stuck.queue, stuck.task, stuck.status, explanation.code as reason, explanation.detail,
       stuck.attempt, stuck.worker_id, stuck.current_step, stuck.ready_at, stuck.started_at, stuck.updated_at
from esteira.jobs as stuck
cross join lateral esteira.explain(stuck.id) as explanation
where stuck.status in ('queued', 'running') and stuck.id in (select id from esteira.stuck);
comment on view esteira.stuck_jobs is
'Jobs that run past their timeout or 15 min without progress, or that have been ready and unclaimed for 5 min, with the reason.';
comment on column esteira.stuck_jobs.reason is 'The code of esteira.explain.';
