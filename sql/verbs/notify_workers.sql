-- A notification is a hint: workers poll every second anyway. Commits that notify queue up behind one lock of the whole server, each
-- until it is on the disk (16 clients: 6,200 jobs/s and 2,500, and 400 where a flush takes 2 ms); a transaction that only notifies
-- waits for no disk. Where jobs are few it saves a round trip within the one that enqueues: enqueue_one does that for one at a time.
-- No job is to be refused because somebody does not read his notifications, and they fill their place.
create function esteira.notify_workers(queues text[]) returns void
language sql
security definer
set search_path = pg_catalog, esteira, pg_temp
as $$
select pg_notify('esteira', name)
from (select distinct unnest(queues)) as queue (name)
where name is not null and pg_notification_queue_usage() < 0.5
$$;
comment on function esteira.notify_workers(text[]) is
'Tells the workers that these queues have something new. Call it after the commit, in a transaction of its own: in yours it is heard at the commit, which waits for those of others that notify.';
