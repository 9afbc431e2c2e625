create function esteira.enqueue(
    task            text,
    payload         jsonb default '{}',
    queue           text default null,
    priority        text default null,
    delay           interval default null,
    run_at          timestamptz default null,
    max_attempts    integer default null,
    retry_first     interval default null,
    retry_max       interval default null,
    timeout         interval default null,
    metadata        jsonb default null,
    tags            text[] default null,
    expires_at      timestamptz default null,
    unique_key      text default null,
    on_conflict     text default null,
    idempotency_key text default null,
    notify          boolean default true
) returns uuid
language plpgsql
security definer
set search_path = pg_catalog, esteira, pg_temp
as $$
#variable_conflict use_variable
declare
    new record;
begin
    select * into new
    from esteira.enqueue_one(
        task, payload, queue, priority, delay, run_at, max_attempts, retry_first, retry_max, timeout, metadata, to_jsonb(tags),
        expires_at, unique_key, on_conflict, idempotency_key);
    if notify and new.queue is not null then
        perform esteira.notify_workers(array[new.queue]);
    end if;
    return new.id;
end
$$;
comment on function esteira.enqueue is
'Enqueues a job in the caller''s transaction and returns its id: select esteira.enqueue(''billing.fulfil'', ''{"id": 1}'', delay => ''5 min''). With a unique_key that a live job of the task has, on_conflict says what happens: return (that job''s id, the default), replace, reject (raises ES003). The same idempotency_key within 24 h returns the same job. Where many clients commit many jobs at once, say notify => false, and call notify_workers after the commit: a commit that notifies takes a lock of the whole server.';
