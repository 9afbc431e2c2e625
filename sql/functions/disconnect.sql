-- A worker names its sessions esteira/<worker>/<engine>. Before its jobs are taken back those sessions end: else a claim
-- still on its way could commit afterwards for a process that is gone, and the open completing transaction of a stopped
-- one would hold the row for as long as it is stopped. Waits up to a second for each to be gone.
create function esteira.disconnect(session_name text) returns integer
language sql
as $$
select count(*)::integer
from (
    select pg_terminate_backend(pid, 1000)
    from pg_stat_activity
    where (application_name = session_name or starts_with(application_name, session_name || '/'))
      and datname = current_database()
      and pid <> pg_backend_pid()
    offset 0
) as ended
$$;
comment on function esteira.disconnect(text) is
'Internal: ends the sessions of a dead engine (esteira/<worker>/<engine>) or of a whole worker (esteira/<worker>).';
