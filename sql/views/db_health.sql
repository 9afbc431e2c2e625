-- What slows every queue down once it is old: a snapshot that somebody holds. Vacuum then leaves the rows that were removed
-- since, and their index entries, where claims must step over them. Sessions of other databases hold nothing back here.
-- Ages are real time, whatever a test's clock says.
create view esteira.db_health with (security_invoker = true) as
with held (kind, name, pid, xmin) as (
    select 'session', session.application_name, session.pid, coalesce(session.backend_xmin, session.backend_xid)
    from pg_stat_activity as session
    where session.pid <> pg_backend_pid() and session.backend_type <> 'autovacuum worker'
      and (session.datname = current_database() or session.datname is null)
    union all
    select 'replication slot', slot.slot_name::text, slot.active_pid, slot.xmin from pg_replication_slots as slot
    union all
    select 'prepared transaction', prepared.gid, null, prepared.transaction
    from pg_prepared_xacts as prepared
    where prepared.database = current_database()
), holder as (
    select * from held where xmin is not null order by age(xmin) desc limit 1
), oldest as (
    select session.pid, session.application_name, session.usename, session.state, clock_timestamp() - session.xact_start as age
    from pg_stat_activity as session
    where session.pid <> pg_backend_pid() and session.datname = current_database() and session.backend_type <> 'autovacuum worker'
      and session.xact_start is not null
    order by session.xact_start
    limit 1
)
select
    oldest.pid as oldest_transaction_pid, oldest.application_name as oldest_transaction_name,
    oldest.usename as oldest_transaction_user, oldest.state as oldest_transaction_state, oldest.age as oldest_transaction_age,
    holder.kind as xmin_holder, holder.name as xmin_holder_name, holder.pid as xmin_holder_pid, age(holder.xmin) as xmin_age,
    live.n_live_tup as job_live_rows, live.n_dead_tup as job_live_dead_rows, live.last_autovacuum as job_live_vacuumed_at,
    pg_total_relation_size('esteira.job_live') as job_live_bytes,
    (select count(*) from pg_stat_activity where backend_type = 'client backend') as connections,
    current_setting('max_connections')::integer as max_connections
from (select) as one
left join oldest on true
left join holder on true
left join pg_stat_user_tables as live on live.relid = 'esteira.job_live'::regclass;
comment on view esteira.db_health is
'One row: what holds vacuum back (the oldest transaction, the oldest xmin), how many dead rows job_live has, how many connections there are. A role without pg_read_all_stats sees the times of its own sessions only.';
comment on column esteira.db_health.oldest_transaction_age is 'Since it began. `select pg_terminate_backend(pid)` ends it.';
comment on column esteira.db_health.xmin_holder is 'What holds the oldest snapshot: session, replication slot, prepared transaction.';
comment on column esteira.db_health.xmin_age is 'How many transactions ago: rows removed since then cannot be vacuumed.';
comment on column esteira.db_health.job_live_dead_rows is 'As the statistics know it. Autovacuum begins at 5,000; many more mean that something holds it back.';
