-- As lax about names as esteira.job is: the tick notes every queue that somebody put a job in, by whatever way.
create table esteira.queue (
    name               text primary key constraint queue_name_is_short check (length(name) between 1 and 100),
    created_at         timestamptz not null,
    paused_at          timestamptz,
    keep_finished      interval constraint queue_keep_finished_is_positive check (keep_finished between '1 s' and '100 years'),
    keep_dead          interval constraint queue_keep_dead_is_positive check (keep_dead between '1 s' and '100 years'),
    finished_kept_from timestamptz
);
-- For claims, which ask whether a queue is paused: it holds next to nothing.
create index queue_paused on esteira.queue (name) where paused_at is not null;

comment on table esteira.queue is
'The queues known so far: those that tasks declare, those that jobs were seen in, and those that somebody set up. Enqueueing never writes here, so two clients that begin a queue at once do not wait for each other.';
comment on column esteira.queue.name is 'As jobs name it.';
comment on column esteira.queue.created_at is 'When it was first seen.';
comment on column esteira.queue.paused_at is 'Since then nothing of it is claimed; null: it is not paused.';
comment on column esteira.queue.keep_finished is 'How long its completed and cancelled jobs are kept; null: as esteira.retention says.';
comment on column esteira.queue.keep_dead is 'How long its dead letters are kept; null: as esteira.retention says.';
comment on column esteira.queue.finished_kept_from is 'Where it keeps less than others: what ended before it is removed already; null: begin at the beginning.';
