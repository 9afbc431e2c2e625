create table esteira.attempt (
    job_id      uuid not null,
    attempt     integer not null,
    outcome     text not null constraint attempt_outcome_is_known
                check (outcome in ('failed', 'timed_out', 'crashed', 'lost', 'snoozed', 'released', 'cancelled')),
    error       jsonb,
    traceback   text,
    worker_id   uuid,
    engine      integer,
    started_at  timestamptz not null,
    finished_at timestamptz not null,
    primary key (job_id, attempt)
);
comment on table esteira.attempt is
'One row for every attempt that did not complete: why it ended, and where. Also the evidence when the reply to a fail was lost.';
comment on column esteira.attempt.job_id is 'The job.';
comment on column esteira.attempt.attempt is 'Its number: they rise over all generations of the job.';
comment on column esteira.attempt.outcome is
'failed, timed_out: charged as failures. crashed (engine died), lost (worker died): counted apart. snoozed, released (shutdown), cancelled: not charged.';
comment on column esteira.attempt.error is '{type, message, attempt, at}';
comment on column esteira.attempt.traceback is 'Where in the code it failed.';
comment on column esteira.attempt.worker_id is 'The worker that ran it.';
comment on column esteira.attempt.engine is 'The engine of that worker.';
comment on column esteira.attempt.started_at is 'When it was claimed.';
comment on column esteira.attempt.finished_at is 'When it ended.';
