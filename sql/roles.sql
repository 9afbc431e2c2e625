-- Who may do what. Run it after `esteira migrate` or install.sql, and after every upgrade:
--
--     esteira roles | psql -X -v ON_ERROR_STOP=1 --single-transaction postgresql://…
--
-- as a superuser, or as the account that owns the database and the schema and may create roles. It can be run again and again. Roles
-- belong to the whole server: in a second database they are there already, and if another account made them, that one has to
-- `grant esteira_owner to …` the account that runs this first, and to grant pg_signal_backend to esteira_owner if it may.
-- None of the roles can log in: grant them to the accounts that do.
--
--     esteira_owner    owns the schema and all in it; verbs act with its rights, and nobody else writes to a table
--     esteira_reader   reads tables and views, and asks `explain`
--     esteira_service  reads, and does what clients and operators do: enqueue, cancel, retry, edit, pause …
--     esteira_worker   reads, and does what workers do: register, claim, settle, rescue, retain …; their handlers may enqueue
--
-- Upgrade as a member of esteira_owner or as a superuser: `esteira migrate` acts as the schema's owner. Where a database refuses
-- to create roles, nothing is lost but the separation: let one account own the schema and do everything.
do $do$
declare
    made record;
begin
    for made in
        select * from (values
            ('esteira_owner', 'Owns the schema esteira: its verbs act with the rights of this role.'),
            ('esteira_reader', 'Reads Esteira''s queue.'),
            ('esteira_service', 'Clients and operators of Esteira''s queue.'),
            ('esteira_worker', 'Workers of Esteira''s queue.')) as role (name, purpose)
    loop
        if to_regrole(made.name) is null then
            execute format('create role %I nologin', made.name);
            execute format('comment on role %I is %L', made.name, made.purpose);
        end if;
    end loop;
    if not (pg_has_role('esteira_service', 'esteira_reader', 'usage') and pg_has_role('esteira_worker', 'esteira_reader', 'usage')) then
        grant esteira_reader to esteira_service, esteira_worker;
    end if;
end
$do$;

-- To end the sessions of a lost worker, which log in as somebody else. Without it a rescue ends only those that it may (those of
-- roles that esteira_owner is a member of); where a worker is stopped but not dead, its open transaction then holds its job
-- until its connection ends.
do $do$
begin
    if not pg_has_role('esteira_owner', 'pg_signal_backend', 'usage') then
        grant pg_signal_backend to esteira_owner;
    end if;
exception when insufficient_privilege then
    raise warning 'esteira_owner may not end sessions: have somebody grant pg_signal_backend to it, or grant it the roles that your workers log in as';
end
$do$;

-- All that is there is handed over: whoever ran the migrations owned it. Indexes and constraints go with their tables, and an owner
-- may make what it needs later (the days) itself.
do $do$
declare
    statement text;
begin
    -- Whoever gives something to a role has to be a member of it; so has whoever migrates.
    if not pg_has_role('esteira_owner', 'usage') then
        begin
            execute format('grant esteira_owner to %I', current_user);
        exception when insufficient_privilege then
            raise exception 'another account made the role esteira_owner, and % is no member of it', current_user
            using errcode = 'insufficient_privilege', hint = format('As that account, or a superuser: grant esteira_owner to %I', current_user);
        end;
    end if;
    execute format('grant create on database %I to esteira_owner', current_database());
    for statement in
        select format('alter schema %I owner to esteira_owner', nspname)
        from pg_namespace where nspname = 'esteira' and nspowner <> 'esteira_owner'::regrole
        union all
        select format('alter table %s owner to esteira_owner', oid::regclass)
        from pg_class
        where relnamespace = 'esteira'::regnamespace and relkind in ('r', 'p', 'v') and relowner <> 'esteira_owner'::regrole
        union all
        select format('alter function %s owner to esteira_owner', oid::regprocedure)
        from pg_proc where pronamespace = 'esteira'::regnamespace and proowner <> 'esteira_owner'::regrole
        union all
        select format('alter domain %s owner to esteira_owner', oid::regtype)
        from pg_type where typnamespace = 'esteira'::regnamespace and typtype = 'd' and typowner <> 'esteira_owner'::regrole
    loop
        execute statement;
    end loop;
end
$do$;
alter default privileges for role esteira_owner revoke execute on functions from public;

-- Begin anew, so that a right that is no longer given here is taken away.
revoke all on schema esteira from public, esteira_reader, esteira_service, esteira_worker;
revoke all on all tables in schema esteira from public, esteira_reader, esteira_service, esteira_worker;
revoke all on all functions in schema esteira from public, esteira_reader, esteira_service, esteira_worker;

grant usage on schema esteira to esteira_reader;
grant select on
    esteira.job, esteira.job_live, esteira.job_dead, esteira.job_finished, esteira.activity, esteira.attempt, esteira.step,
    esteira.worker, esteira.queue, esteira.task, esteira.retention, esteira.alembic_version
to esteira_reader;
do $do$
declare
    given record;
    view regclass;
    verb regprocedure;
begin
    for view in
        select oid from pg_class where relnamespace = 'esteira'::regnamespace and relkind = 'v'
    loop
        execute format('grant select on %s to esteira_reader', view);
    end loop;
    -- By name, since the arguments of some are many and may grow.
    for given in
        select * from (values
            ('esteira_reader', array[
                'explain', 'id_from', 'id_until', 'missing', 'now', 'priority_name', 'ready_queues', 'uuid7_at', 'uuid7_time']),
            ('esteira_service', array[
                'enqueue', 'enqueue_one', 'enqueue_many', 'notify_workers', 'edit', 'cancel', 'cancel_many', 'retry', 'retry_many',
                'discard', 'discard_many', 'pause', 'resume', 'pause_task', 'resume_task', 'purge', 'drain', 'set_retention']),
            ('esteira_worker', array[
                'enqueue', 'enqueue_one', 'enqueue_many', 'notify_workers', 'register', 'heartbeat', 'retire', 'claim',
                'next_ready_at', 'complete', 'fail', 'snooze', 'release', 'acknowledge_cancel', 'hold', 'save_step', 'progress',
                'crash', 'rescue', 'tick', 'retain'])
        ) as given (role, verbs)
    loop
        for verb in
            select oid from pg_proc where pronamespace = 'esteira'::regnamespace and proname = any (given.verbs)
        loop
            execute format('grant execute on function %s to %I', verb, given.role);
        end loop;
    end loop;
end
$do$;
