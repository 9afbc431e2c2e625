create table esteira.step (
    job_id      uuid not null,
    name        text not null constraint step_name_is_short check (length(name) between 1 and 200),
    attempt     integer not null,
    result      jsonb,
    started_at  timestamptz not null,
    finished_at timestamptz not null,
    primary key (job_id, name)
);
comment on table esteira.step is 'Finished steps: a checkpoint each. A later attempt reads the result here and does not run the step again.';
comment on column esteira.step.job_id is 'The job.';
comment on column esteira.step.name is 'Unique within the job.';
comment on column esteira.step.attempt is 'The attempt that finished it.';
comment on column esteira.step.result is 'What the step returned.';
comment on column esteira.step.started_at is 'When it began.';
comment on column esteira.step.finished_at is 'When it was stored.';
