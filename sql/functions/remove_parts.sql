create function esteira.remove_parts(ids uuid[]) returns bigint
language plpgsql
as $$
declare
    removed bigint := 0;
    found bigint;
begin
    delete from esteira.step as step where step.job_id = any (ids);
    get diagnostics found = row_count;
    removed := removed + found;
    delete from esteira.attempt as attempt where attempt.job_id = any (ids);
    get diagnostics found = row_count;
    removed := removed + found;
    delete from esteira.activity as activity where activity.job_id = any (ids);
    get diagnostics found = row_count;
    return removed + found;
end
$$;
comment on function esteira.remove_parts(uuid[]) is 'Internal: removes steps, attempts and activity of jobs that are removed; returns how many rows.';
