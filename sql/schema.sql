-- Alembic needs schema and table before its first revision runs, so there they exist already.
create schema if not exists esteira;
comment on schema esteira is
'Esteira, a durable task queue. Start at the view esteira.jobs; \df+ esteira.* lists the verbs with what they do.';

-- The table that Alembic keeps its place in: install.sql stamps it as the migrations do.
create table if not exists esteira.alembic_version (
    version_num varchar(32) not null,
    constraint alembic_version_pkc primary key (version_num)
);
comment on table esteira.alembic_version is 'The version of this schema: the last migration that ran.';
comment on column esteira.alembic_version.version_num is 'As in the name of the migration''s file.';
