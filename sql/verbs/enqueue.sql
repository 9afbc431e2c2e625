create function esteira.enqueue(
    task         text,
    payload      jsonb default '{}',
    queue        text default null,
    priority     text default null,
    delay        interval default null,
    run_at       timestamptz default null,
    max_attempts integer default null,
    retry_first  interval default null,
    retry_max    interval default null,
    timeout      interval default null,
    metadata     jsonb default null,
    tags         text[] default null,
    notify       boolean default true
) returns uuid
language plpgsql
as $$
#variable_conflict use_variable
declare
    new record;
begin
    select * into new
    from esteira.enqueue_many(
        array[task], array[payload], array[queue], array[priority], array[delay], array[run_at], array[max_attempts],
        array[retry_first], array[retry_max], array[timeout], array[metadata], array[to_jsonb(tags)]);
    if notify then
        perform esteira.notify_workers(array[new.queue]);
    end if;
    return new.id;
end
$$;
comment on function esteira.enqueue is
'Enqueues a job in the caller''s transaction and returns its id: select esteira.enqueue(''billing.fulfil'', ''{"id": 1}'', delay => ''5 min''). Where many clients commit many jobs at once, say notify => false: a commit that notifies takes a lock of the whole database.';
