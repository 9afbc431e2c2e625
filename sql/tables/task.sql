create table esteira.task (
    name                text primary key,
    version             integer not null default 1,
    queue               text not null,
    priority            smallint not null,
    max_attempts        integer not null constraint task_max_attempts_is_positive check (max_attempts >= 1),
    retry_first_seconds double precision not null,
    retry_max_seconds   double precision not null,
    timeout_seconds     double precision not null,
    executor            text not null constraint task_executor_is_known check (executor in ('async', 'thread', 'process')),
    steps               text[] not null default '{}',
    payload_schema      jsonb not null,
    unique_fields       text[],
    unique_on_conflict  text constraint task_unique_on_conflict_is_known check (unique_on_conflict in ('return', 'replace', 'reject')),
    declared_at         timestamptz not null,
    paused_at           timestamptz,
    -- Jobs without a policy of their own have this one: what would break a job's row, or a view, is refused here.
    constraint task_queue_is_short check (length(queue) between 1 and 100),
    constraint task_priority_is_0_to_3 check (priority between 0 and 3),
    constraint task_limits_are_positive check (retry_first_seconds >= 0 and retry_max_seconds >= 0 and timeout_seconds > 0 and timeout_seconds <= 3.2e9)
);
-- For claims and enqueues, which ask for the few exceptions: they hold next to nothing.
create index task_paused on esteira.task (name) where paused_at is not null;
create index task_unique on esteira.task (name) where unique_fields is not null;

comment on table esteira.task is 'What the workers declared of each task: the policy of jobs that name none of their own.';
comment on column esteira.task.name is 'As jobs name it.';
comment on column esteira.task.version is 'The highest version declared wins; an older worker never overwrites it.';
comment on column esteira.task.queue is 'The queue of jobs that name none.';
comment on column esteira.task.priority is '0 low, 1 normal, 2 high, 3 critical.';
comment on column esteira.task.max_attempts is 'How many failures are the last.';
comment on column esteira.task.retry_first_seconds is 'Backoff after the first failure.';
comment on column esteira.task.retry_max_seconds is 'Longest backoff.';
comment on column esteira.task.timeout_seconds is 'Longest an attempt may take.';
comment on column esteira.task.executor is 'Where it runs: async (the loop), thread, process.';
comment on column esteira.task.steps is 'The declared pipeline, in order: progress follows from it.';
comment on column esteira.task.payload_schema is 'JSON Schema of the payload.';
comment on column esteira.task.unique_fields is 'Payload fields that make up the unique key of jobs that name none.';
comment on column esteira.task.unique_on_conflict is 'What becomes of a job whose key a live job has: return, replace, reject.';
comment on column esteira.task.declared_at is 'When a worker last declared it.';
comment on column esteira.task.paused_at is 'Since then none of its jobs is claimed; null: it is not paused.';
