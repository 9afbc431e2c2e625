-- What changes while a job runs stands in this narrow row beside it: writing it copies no payload and waits behind no
-- handler's open completing transaction. Made when first needed, merged into the job at its end.
create table esteira.activity (
    job_id              uuid primary key,
    attempt             integer not null,
    progress            real not null default 0 constraint activity_progress_is_a_share check (progress between 0 and 1),
    progress_message    text,
    current_step        text,
    updated_at          timestamptz not null,
    cancel_requested_at timestamptz,
    constraint activity_times_are_finite check (isfinite(updated_at) and isfinite(cancel_requested_at))
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
-- For the heartbeat, which asks once a second: it holds next to nothing, and progress leaves it alone (HOT).
create index activity_cancel on esteira.activity (job_id) where cancel_requested_at is not null;

comment on table esteira.activity is 'Progress, current step and cancel request of a live job, if it has any.';
comment on column esteira.activity.job_id is 'The job, live.';
comment on column esteira.activity.attempt is 'The attempt that wrote it last.';
comment on column esteira.activity.progress is '0 to 1.';
comment on column esteira.activity.progress_message is 'What the handler last said.';
comment on column esteira.activity.current_step is 'The step that it is in, or that it finished last.';
comment on column esteira.activity.updated_at is 'When it last made progress: without any for 15 min it counts as stuck.';
comment on column esteira.activity.cancel_requested_at is 'Somebody asked the running job to stop; its worker learns of it with the next heartbeat.';
