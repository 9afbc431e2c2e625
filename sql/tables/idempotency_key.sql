create table esteira.idempotency_key (
    key         text primary key constraint idempotency_key_is_short check (length(key) between 1 and 255),
    fingerprint bytea not null,
    job_id      uuid not null,
    created_at  timestamptz not null
);
create index idempotency_key_age on esteira.idempotency_key (created_at);

comment on table esteira.idempotency_key is
'Requests that said who they are: the same one again within 24 h is answered with the same job, another with the same key is refused.';
comment on column esteira.idempotency_key.key is 'As the client chose it.';
comment on column esteira.idempotency_key.fingerprint is 'SHA-256 of all that was asked for.';
comment on column esteira.idempotency_key.job_id is 'The job that answered.';
comment on column esteira.idempotency_key.created_at is 'When it was first seen.';
