-- A worker names its sessions esteira/<worker>/<engine>. Before its jobs are taken back those sessions end: else a claim
-- still on its way could commit afterwards for a process that is gone, and the open completing transaction of a stopped
-- one would hold the row for as long as it is stopped. Waits up to a second for each to be gone. Where the owner of the queue may
-- not end a session, the rescue goes on without: the fence keeps what that session still writes from counting.
create function esteira.disconnect(session_name text) returns integer
language plpgsql
as $$
declare
    session record;
    ended integer := 0;
begin
    for session in
        select activity.pid, activity.usename
        from pg_stat_activity as activity
        where (activity.application_name = session_name or starts_with(activity.application_name, session_name || '/'))
          and activity.datname = current_database()
          and activity.pid <> pg_backend_pid()
    loop
        begin
            perform pg_terminate_backend(session.pid, 1000);
            ended := ended + 1;
        exception when insufficient_privilege then
            raise warning '% may not end the session % of %: see sql/roles.sql', current_user, session.pid, session.usename;
        end;
    end loop;
    return ended;
end
$$;
comment on function esteira.disconnect(text) is
'Internal: ends the sessions of a dead engine (esteira/<worker>/<engine>) or of a whole worker (esteira/<worker>); returns how many.';
