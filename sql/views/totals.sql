-- Exact where it is cheap. How many have finished in all is what the statistics collector knows of the partitions: counting
-- them would read all of history.
create view esteira.totals with (security_invoker = true) as
select
    coalesce(sum(queue.ready), 0)::bigint as ready, coalesce(sum(queue.scheduled), 0)::bigint as scheduled,
    coalesce(sum(queue.running), 0)::bigint as running, coalesce(sum(queue.waiting), 0)::bigint as waiting,
    coalesce(sum(queue.dead), 0)::bigint as dead,
    (select coalesce(sum(n_live_tup), 0)::bigint
     from pg_stat_user_tables
     where relid in (select inhrelid from pg_inherits where inhparent = 'esteira.job_finished'::regclass)) as finished_estimate,
    min(queue.oldest_ready_at) as oldest_ready_at, esteira.now() - min(queue.oldest_ready_at) as oldest_ready_age,
    (select count(*) from esteira.worker_status where state = 'alive') as workers,
    (select coalesce(sum(slots), 0)::bigint from esteira.worker_status where state = 'alive') as slots
from esteira.queue_stats as queue;
comment on view esteira.totals is 'One row: how many jobs there are in each state, over all queues, and what works on them.';
