create table esteira.queue (
    name       text primary key constraint queue_name_is_a_name check (name collate "C" ~ '^[[:alnum:]_][[:alnum:]_.:/-]{0,99}$'),
    created_at timestamptz not null,
    paused_at  timestamptz
);
-- For claims, which ask whether a queue is paused: it holds next to nothing.
create index queue_paused on esteira.queue (name) where paused_at is not null;

comment on table esteira.queue is
'The queues known so far: those that tasks declare, those that jobs were seen in, and those that somebody set up. Enqueueing never writes here, so two clients that begin a queue at once do not wait for each other.';
comment on column esteira.queue.name is 'As jobs name it.';
comment on column esteira.queue.created_at is 'When it was first seen.';
comment on column esteira.queue.paused_at is 'Since then nothing of it is claimed; null: it is not paused.';
