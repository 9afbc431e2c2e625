create table esteira.queue (
    name       text primary key constraint queue_name_is_a_name check (name collate "C" ~ '^[[:alnum:]_][[:alnum:]_.:/-]{0,99}$'),
    created_at timestamptz not null
);
comment on table esteira.queue is
'The queues known so far: those that tasks declare, and those that jobs were seen in. Enqueueing never writes here, so two clients that begin a queue at once do not wait for each other.';
comment on column esteira.queue.name is 'As jobs name it.';
comment on column esteira.queue.created_at is 'When it was first seen.';
