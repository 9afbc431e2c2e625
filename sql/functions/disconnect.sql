-- A worker names its sessions esteira/<worker>/<engine>. Before its jobs are taken back those sessions end: else a claim
-- still on its way could commit afterwards for a process that is gone, and the open completing transaction of a stopped
-- one would hold the row for as long as it is stopped. All are told to end before the first is waited for, up to a second each. Where
-- the owner of the queue may not end a session, the rescue goes on without: the fence keeps what that session still writes from counting.
create function esteira.disconnect(session_name text) returns integer
language plpgsql
as $$
declare
    session record;
    told integer[] := '{}';
begin
    for session in
        select activity.pid, activity.usename
        from pg_stat_activity as activity
        where (activity.application_name = session_name or starts_with(activity.application_name, session_name || '/'))
          and activity.datname = current_database()
          and activity.pid <> pg_backend_pid()
    loop
        begin
            perform pg_terminate_backend(session.pid);
            told := told || session.pid;
        exception when insufficient_privilege then
            raise warning '% may not end the session % of %: see `esteira roles`', current_user, session.pid, session.usename;
        end;
    end loop;
    -- What this view shows stays the same within a transaction unless it is asked to look again.
    perform pg_stat_clear_snapshot();
    perform pg_terminate_backend(activity.pid, 1000) from pg_stat_activity as activity where activity.pid = any (told);
    return cardinality(told);
end
$$;
comment on function esteira.disconnect(text) is
'Internal: ends the sessions of a dead engine (esteira/<worker>/<engine>) or of a whole worker (esteira/<worker>); returns how many.';
