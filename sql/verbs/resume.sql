-- The jobs lie below the engines' floors by now: "*" tells them to begin anew.
create function esteira.resume(queue text) returns boolean
language sql
security definer
set search_path = pg_catalog, esteira, pg_temp
as $$
with resumed as (
    update esteira.queue as queue set paused_at = null
    where queue.name = resume.queue and queue.paused_at is not null
    returning pg_notify('esteira', '*')
)
select count(*) > 0 from resumed
$$;
comment on function esteira.resume(text) is 'Ends the pause of a queue and tells the workers; false if it was not paused.';
