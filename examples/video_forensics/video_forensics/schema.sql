-- The example's own tables, beside Esteira's in the same database: what was uploaded and what came out of it.
create schema if not exists video_forensics;

create table if not exists video_forensics.analysis (
    id          uuid primary key default gen_random_uuid(),
    job_id      uuid,
    file_name   text not null,
    camera      text,
    fingerprint bytea,
    report      jsonb,
    created_at  timestamptz not null default now()
);
create index if not exists analysis_by_age on video_forensics.analysis (created_at desc, id);
comment on table video_forensics.analysis is 'One uploaded video. Its status is that of its job: join esteira.jobs on job_id.';
comment on column video_forensics.analysis.camera is 'Known to come from this camera: its fingerprint is a reference for the others.';
comment on column video_forensics.analysis.fingerprint is 'The sensor''s noise pattern, as pack_fingerprint packs it.';

create table if not exists video_forensics.file (
    analysis_id uuid not null references video_forensics.analysis on delete cascade,
    kind        text not null check (kind in ('upload', 'clean')),
    position    integer not null,
    data        bytea not null,
    primary key (analysis_id, kind, position)
);
-- Videos are compressed already.
alter table video_forensics.file alter column data set storage external;
comment on table video_forensics.file is 'Videos in pieces of a MiB, so that neither an upload nor a download holds a whole one in memory.';
