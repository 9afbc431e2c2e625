-- The whole queue, in the order in which it can be made. Run it on an empty database of PostgreSQL 15 or newer:
--
--     psql -X -v ON_ERROR_STOP=1 --single-transaction -f sql/install.sql postgresql://…
--
-- `esteira migrate` makes the very same schema (a test compares the two) and is the way to upgrade one.
\set ON_ERROR_STOP on
\ir schema.sql

\ir functions/now.sql
\ir functions/uuid7.sql
\ir functions/id_bounds.sql
\ir functions/priority.sql
\ir functions/check_name.sql
\ir functions/backoff.sql

\ir tables/job.sql
\ir tables/activity.sql
\ir tables/attempt.sql
\ir tables/step.sql
\ir tables/worker.sql
\ir tables/queue.sql
\ir tables/task.sql
\ir tables/idempotency_key.sql
\ir tables/retention.sql
\ir compression.sql

\ir functions/missing.sql
\ir functions/make_day.sql
\ir functions/finish.sql
\ir functions/requeue.sql
\ir functions/record_attempt.sql
\ir functions/lose.sql
\ir functions/disconnect.sql
\ir functions/remove_parts.sql
\ir functions/remove_day.sql
\ir functions/expired.sql
\ir functions/remove_finished.sql
\ir functions/remove_dead.sql
\ir functions/remove_orphans.sql
\ir functions/remove_keys.sql

\ir functions/insert_jobs.sql
\ir functions/unique_key.sql
\ir functions/remember_key.sql
\ir functions/take_unique.sql
\ir functions/enqueue_keyed.sql

\ir verbs/enqueue_many.sql
\ir verbs/enqueue_one.sql
\ir verbs/enqueue.sql
\ir verbs/notify_workers.sql
\ir verbs/claim.sql
\ir verbs/next_ready_at.sql
\ir verbs/ready_queues.sql
\ir verbs/complete.sql
\ir verbs/fail.sql
\ir verbs/snooze.sql
\ir verbs/release.sql
\ir verbs/edit.sql
\ir verbs/cancel_many.sql
\ir verbs/cancel.sql
\ir verbs/acknowledge_cancel.sql
\ir verbs/retry_many.sql
\ir verbs/retry.sql
\ir verbs/discard_many.sql
\ir verbs/discard.sql
\ir verbs/purge.sql
\ir verbs/pause.sql
\ir verbs/resume.sql
\ir verbs/pause_task.sql
\ir verbs/resume_task.sql
\ir verbs/expire.sql
\ir verbs/hold.sql
\ir verbs/save_step.sql
\ir verbs/progress.sql
\ir verbs/register.sql
\ir verbs/heartbeat.sql
\ir verbs/crash.sql
\ir verbs/rescue.sql
\ir verbs/retire.sql
\ir verbs/drain.sql
\ir verbs/maintain_partitions.sql
\ir verbs/tick.sql
\ir verbs/set_retention.sql
\ir verbs/retain.sql

\ir views/jobs.sql
\ir views/worker_status.sql
\ir verbs/explain.sql
\ir views/running_jobs.sql
\ir views/stuck.sql
\ir views/stuck_jobs.sql
\ir views/dead_letter.sql
\ir views/queue_stats.sql
\ir views/task_stats.sql
\ir views/totals.sql
\ir views/ended_lately.sql
\ir views/db_health.sql

\ir grants.sql

select esteira.maintain_partitions();

-- Last, so that a half-made schema is never taken for a whole one.
insert into esteira.alembic_version (version_num) values ('0001');
