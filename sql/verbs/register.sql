create function esteira.register(
    worker_id uuid, hostname text, pid integer, version text, queues text[], engines integer, slots integer, tasks jsonb
) returns void
language plpgsql
security definer
set search_path = pg_catalog, esteira, pg_temp
as $$
#variable_conflict use_column
declare
    moment timestamptz := esteira.now();
begin
    perform esteira.check_name(declared ->> 'name'), esteira.check_name(declared ->> 'queue')
    from jsonb_array_elements(register.tasks) as declared;

    insert into esteira.task as task (
        name, version, queue, priority, max_attempts, retry_first_seconds, retry_max_seconds, timeout_seconds,
        executor, steps, payload_schema, unique_fields, unique_on_conflict, declared_at)
    select
        name, version, queue, esteira.priority_number(priority), max_attempts, retry_first_seconds, retry_max_seconds, timeout_seconds,
        executor, steps, payload_schema, unique_fields, unique_on_conflict, moment
    from jsonb_to_recordset(register.tasks) as declared (
        name text, version integer, queue text, priority text, max_attempts integer, retry_first_seconds double precision,
        retry_max_seconds double precision, timeout_seconds double precision, executor text, steps text[], payload_schema jsonb, unique_fields text[],
        unique_on_conflict text)
    order by name
    on conflict (name) do update
    set version = excluded.version, queue = excluded.queue, priority = excluded.priority, max_attempts = excluded.max_attempts,
        retry_first_seconds = excluded.retry_first_seconds, retry_max_seconds = excluded.retry_max_seconds,
        timeout_seconds = excluded.timeout_seconds, executor = excluded.executor, steps = excluded.steps,
        payload_schema = excluded.payload_schema, unique_fields = excluded.unique_fields,
        unique_on_conflict = excluded.unique_on_conflict, declared_at = excluded.declared_at
    where excluded.version >= task.version;

    insert into esteira.queue (name, created_at)
    select distinct declared ->> 'queue', moment
    from jsonb_array_elements(register.tasks) as declared
    order by 1
    on conflict (name) do nothing;

    insert into esteira.worker (id, hostname, pid, version, queues, tasks, engines, slots, started_at, beat_at, ticked_at)
    values (
        worker_id, hostname, pid, version, queues,
        array(select declared ->> 'name' from jsonb_array_elements(register.tasks) as declared order by 1),
        engines, slots, moment, moment, moment);
end
$$;
comment on function esteira.register is
'A worker introduces itself and declares its tasks: [{name, version, queue, priority, max_attempts, retry_first_seconds, retry_max_seconds, timeout_seconds, executor, steps, payload_schema, unique_fields, unique_on_conflict}]. From here on its heartbeat keeps its lease. Raises ES004 for what is no name.';
