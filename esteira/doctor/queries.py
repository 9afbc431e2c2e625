"""What the checks ask the database. What a person with psql wants too is a view: esteira.db_health and its like."""

from __future__ import annotations

SERVER = """
select
    current_setting('server_version') as version, current_setting('server_version_num')::integer as number,
    current_setting('fsync') as fsync, current_setting('full_page_writes') as full_page_writes,
    current_setting('synchronous_commit') as synchronous_commit, current_setting('autovacuum') as autovacuum,
    current_setting('track_counts') as track_counts, pg_is_in_recovery() as is_standby,
    current_user as role, current_database() as database
"""
CLOCK = """
select
    extract(epoch from clock_timestamp())::float8 as at, nullif(current_setting('esteira.fake_now', true), '') as fake
"""
# By its row: the functions that take a schema's name raise where there is none, or no right to look into it.
USAGE = "select has_schema_privilege(oid, 'usage') as granted from pg_namespace where nspname = 'esteira'"
HEALTH = """
select
    oldest_transaction_pid, oldest_transaction_name, oldest_transaction_user, oldest_transaction_state,
    extract(epoch from oldest_transaction_age)::float8 as oldest_transaction_seconds,
    xmin_holder, xmin_holder_name, xmin_holder_pid, xmin_age, job_live_rows, job_live_dead_rows, job_live_vacuumed_at,
    connections, max_connections, current_setting('superuser_reserved_connections')::integer as reserved,
    pg_has_role('pg_read_all_stats', 'usage') as sees_all
from esteira.db_health
"""
# What autovacuum waits for on job_live: its own settings, else the server's.
VACUUM_THRESHOLD = """
select
    coalesce(max(value) filter (where name = 'autovacuum_vacuum_threshold'),
             current_setting('autovacuum_vacuum_threshold'))::float8
    + coalesce(max(value) filter (where name = 'autovacuum_vacuum_scale_factor'),
               current_setting('autovacuum_vacuum_scale_factor'))::float8
      * greatest(max(reltuples), 0) as threshold,
    coalesce(max(value) filter (where name = 'autovacuum_enabled'), 'true')::boolean as enabled
from pg_class
left join lateral pg_options_to_table(reloptions) as option (name, value) on true
where oid = 'esteira.job_live'::regclass
"""
SLOTS = """
select slot_name::text as name, active, age(xmin) as age
from pg_replication_slots where xmin is not null order by age(xmin) desc
"""
PREPARED = """
select gid as name, extract(epoch from clock_timestamp() - prepared)::float8 as seconds
from pg_prepared_xacts where database = current_database() order by prepared
"""
# Days in a row from today on that have a partition.
DAYS_AHEAD = """
select coalesce(min(ahead) filter (where not there), 1000) - 1 as days
from (
    select ahead, to_regclass('esteira.job_finished_'
        || to_char((esteira.now() at time zone 'utc')::date + ahead, 'YYYYMMDD')) is not null as there
    from generate_series(0, 999) as ahead
) as day
"""
# How many days too many are kept: a day may go once it is older than the longest rule.
OVERDUE_DAYS = """
select count(*) as days, min(day.relname)::text as oldest
from pg_inherits as inherits
join pg_class as day on day.oid = inherits.inhrelid
cross join (
    select esteira.now() - greatest(
        (select finished from esteira.retention), (select max(keep_finished) from esteira.queue)) as kept_from
) as rule
where inherits.inhparent = 'esteira.job_finished'::regclass and day.relname ~ '^job_finished_[0-9]{8}$'
  and right(day.relname, 8) < to_char((rule.kept_from at time zone 'utc')::date - 1, 'YYYYMMDD')
"""
DEFAULT_PARTITIONS = """
select format('esteira.%I', parent.relname) as parent, format('%I.%I', place.nspname, rest.relname) as name
from pg_partitioned_table as partition
join pg_class as parent on parent.oid = partition.partrelid
join pg_class as rest on rest.oid = partition.partdefid
join pg_namespace as place on place.oid = rest.relnamespace
where partition.partrelid in ('esteira.job'::regclass, 'esteira.job_finished'::regclass)
"""
INVALID_INDEXES = """
select format('%I.%I', 'esteira', index.relname) as name
from pg_index
join pg_class as index on index.oid = pg_index.indexrelid
where index.relnamespace = 'esteira'::regnamespace and index.relkind = 'i'
  and not (pg_index.indisvalid and pg_index.indisready)
order by 1
"""
NOTIFY = "select pg_notify($1, $2)"
# A worker's sessions are esteira/<worker>/<engine>. What a session asked last is seen by its own role, and by
# pg_read_all_stats, only.
LISTENERS = """
select
    worker.id::text as id, worker.engines,
    (select count(distinct session.application_name)
     from pg_stat_activity as session
     where session.datname = current_database()
       and starts_with(session.application_name, 'esteira/' || worker.id || '/')
       and session.query ~* '^(/\\* )?listen\\s+"?esteira') as listening,
    coalesce((select bool_or(session.query = '<insufficient privilege>')
     from pg_stat_activity as session
     where starts_with(session.application_name, 'esteira/' || worker.id || '/')), false) as hidden
from esteira.worker_status as worker
where worker.state = 'alive'
order by worker.started_at
"""
WORKERS = """
select id::text, hostname, pid, version, state, engines, slots, running, free_slots, trouble,
       extract(epoch from silent_for)::float8 as silent_seconds,
       extract(epoch from esteira.now() - ended_at)::float8 as ended_seconds
from esteira.worker_status order by started_at
"""
TASKS = """
select job.task, count(*) as jobs, task.name is not null as is_declared
from esteira.job_live as job
left join esteira.task as task on task.name = job.task
where job.status = 'queued' and job.ready_at <= esteira.now()
  and not exists (
      select from esteira.worker_status as worker where worker.state = 'alive' and job.task = any (worker.tasks))
group by job.task, task.name
order by jobs desc, job.task
"""
PAUSED = """
select
    'queue' as kind, queue as name, ready + scheduled as jobs,
    extract(epoch from esteira.now() - paused_at)::float8 as seconds
from esteira.queue_stats where paused_at is not null
union all
select 'task', task, ready + scheduled, extract(epoch from esteira.now() - paused_at)::float8
from esteira.task_stats where paused_at is not null
order by seconds desc
"""
STUCK = """
select reason, count(*) as jobs, min(detail) as detail
from (select reason, detail from esteira.stuck_jobs limit 1000) as stuck
group by reason order by jobs desc, reason
"""
DEAD = """
select
    count(*) as jobs, count(*) filter (where finished_at > esteira.now() - interval '1 h') as latest,
    (select task from esteira.job_dead group by task order by count(*) desc, task limit 1) as most
from esteira.job_dead
"""
LATE = """
select count(*) as jobs, extract(epoch from esteira.now() - min(expires_at))::float8 as seconds
from esteira.job_live where expires_at < esteira.now() - interval '1 min' and status = 'queued' and attempt = 0
"""
