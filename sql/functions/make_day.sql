-- Asked by every settle, so the usual answer ("it is there") costs one look into the catalogue's cache, about 1 µs.
-- `create table` + `attach` blocks nobody, unlike `create table … partition of`.
create function esteira.make_day(moment timestamptz) returns boolean
language plpgsql
as $do$
declare
    day date := (moment at time zone 'utc')::date;
    leaf text := 'job_finished_' || to_char(day, 'YYYYMMDD');
begin
    if to_regclass('esteira.' || leaf) is not null then
        return false;
    end if;
    perform pg_advisory_xact_lock(hashtext('esteira.make_day'));
    -- The catalogue itself: its cache still says what it said before we waited for whoever made the day.
    if exists (select from pg_class where relname = leaf and relnamespace = 'esteira'::regnamespace) then
        return false;
    end if;
    execute format(
        'create table esteira.%I (like esteira.job_finished including defaults including constraints including storage including compression)',
        leaf);
    execute format('alter table esteira.%I add primary key (id)', leaf);
    -- For retention, lists by the time of the end, and statistics. Since a batch has one finished_at, which is stored once, it is 5 % of
    -- a settle; (finished_at, id) was 9 %.
    execute format('create index on esteira.%I (finished_at, queue)', leaf);
    -- Few, and lists may ask for them alone.
    execute format($$create index on esteira.%I (id) where status = 'cancelled'$$, leaf);
    -- What lists ask for few jobs among many: which 32 blocks may hold any. A settle does not feel it (a b-tree for each of the
    -- three columns made it a third slower), and it is a thousandth of the table. Jobs without tags and metadata pay nothing.
    execute format(
        'create index on esteira.%I using brin (queue text_bloom_ops (n_distinct_per_range = 200), '
        'task text_bloom_ops (n_distinct_per_range = 200), worker_id uuid_bloom_ops (n_distinct_per_range = 100)) '
        'with (pages_per_range = 32, autosummarize = on)', leaf);
    execute format($$create index on esteira.%I using gin (tags) where tags <> '{}'$$, leaf);
    execute format($$create index on esteira.%I using gin (metadata jsonb_path_ops) where metadata <> '{}'$$, leaf);
    execute format('comment on table esteira.%I is %L', leaf, 'Jobs that ended on ' || day || ' (UTC).');
    execute format(
        'alter table esteira.job_finished attach partition esteira.%I for values from (%L) to (%L)',
        leaf, day::timestamp at time zone 'utc', (day + 1)::timestamp at time zone 'utc');
    return true;
end
$do$;
comment on function esteira.make_day(timestamptz) is 'Makes the partition of finished jobs for the day (UTC) of the moment; false if it was there.';
