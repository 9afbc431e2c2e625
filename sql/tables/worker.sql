create table esteira.worker (
    id           uuid primary key,
    hostname     text not null,
    pid          integer not null,
    version      text not null,
    queues       text[],
    tasks        text[] not null,
    engines      integer not null constraint worker_engines_is_positive check (engines > 0),
    slots        integer not null constraint worker_slots_is_positive check (slots > 0),
    started_at   timestamptz not null,
    beat_at      timestamptz not null,
    beats        bigint not null default 0,
    seen_beats   bigint not null default 0,
    missed_ticks integer not null default 0,
    ticked_at    timestamptz not null,
    held_slots   integer not null default 0 constraint worker_held_slots_are_some check (held_slots >= 0),
    stalled_engines integer[],
    stalled_at   timestamptz,
    drain_at     timestamptz,
    stopped_at   timestamptz,
    lost_at      timestamptz,
    -- The tick computes with them, for all workers at once.
    constraint worker_times_are_finite check (isfinite(started_at) and isfinite(beat_at) and isfinite(ticked_at)),
    constraint worker_missed_ticks_are_few check (missed_ticks between 0 and 1000000)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);

comment on table esteira.worker is 'Workers and their leases. One row a worker, never one a job.';
comment on column esteira.worker.id is 'Chosen by the worker, new with every start.';
comment on column esteira.worker.hostname is 'The machine or container it runs on.';
comment on column esteira.worker.pid is 'Its supervisor process there.';
comment on column esteira.worker.version is 'Of Esteira.';
comment on column esteira.worker.queues is 'The queues it serves; null: all.';
comment on column esteira.worker.tasks is 'The tasks it knows: it claims no others.';
comment on column esteira.worker.engines is 'Its processes that run jobs.';
comment on column esteira.worker.slots is 'Jobs at once, over all its engines.';
comment on column esteira.worker.started_at is 'When it registered.';
comment on column esteira.worker.beat_at is 'When its last heartbeat came.';
comment on column esteira.worker.beats is 'Heartbeats so far.';
comment on column esteira.worker.seen_beats is 'Heartbeats as of the last tick.';
comment on column esteira.worker.missed_ticks is
'Ticks in a row that saw no new beat. The lease is counted in ticks that succeeded, not in wall time: a database outage or a clock that jumps expires nobody.';
comment on column esteira.worker.ticked_at is 'When a tick last counted it.';
comment on column esteira.worker.held_slots is
'As of its last heartbeat: slots in which a handler runs on though it timed out or was cancelled. They take no job until it ends.';
comment on column esteira.worker.stalled_engines is
'As of its last heartbeat: engines whose event loop or claim loop stands still; null: none. They take no job.';
comment on column esteira.worker.stalled_at is 'Since when the first of them stands still.';
comment on column esteira.worker.drain_at is 'Somebody asked it to stop; it learns of it with its next heartbeat.';
comment on column esteira.worker.stopped_at is 'It left in good order.';
comment on column esteira.worker.lost_at is 'It was given up, and its jobs were taken back.';
