create table esteira.retention (
    id                 smallint primary key default 1 constraint retention_is_one_row check (id = 1),
    finished           interval not null default '7 days'
                       constraint retention_finished_is_positive check (finished between '1 s' and '100 years'),
    dead               interval not null default '30 days'
                       constraint retention_dead_is_positive check (dead between '1 s' and '100 years'),
    finished_kept_from timestamptz,
    finished_removed   bigint not null default 0,
    dead_removed       bigint not null default 0,
    walked_to          uuid not null default '00000000-0000-0000-0000-000000000000',
    retained_at        timestamptz not null default '-infinity'
);
insert into esteira.retention default values;

comment on table esteira.retention is 'How long jobs are kept after their end, what was removed, and how far retention came. One row.';
comment on column esteira.retention.id is 'Always 1.';
comment on column esteira.retention.finished is 'How long completed and cancelled jobs are kept, where their queue says nothing else.';
comment on column esteira.retention.dead is 'How long dead letters are kept, where their queue says nothing else.';
comment on column esteira.retention.finished_kept_from is
'Where queues without a rule of their own keep less than others: what of theirs ended before it is removed already; null: begin at the beginning.';
comment on column esteira.retention.finished_removed is 'Completed and cancelled jobs that retention removed so far.';
comment on column esteira.retention.dead_removed is 'Dead letters that retention removed so far.';
comment on column esteira.retention.walked_to is 'The job id up to which steps and attempts were last searched for those without a job.';
comment on column esteira.retention.retained_at is 'When retention last ran.';
