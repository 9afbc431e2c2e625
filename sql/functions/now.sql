-- The wall clock at the moment of the call, not now(), which is the start of the transaction and would let a long
-- one see the past. A test moves time with `set esteira.fake_now = '2030-01-01 00:00Z'`; each verb reads it once.
create function esteira.now() returns timestamptz
language sql volatile parallel safe
as $$
select coalesce(nullif(current_setting('esteira.fake_now', true), '')::timestamptz, clock_timestamp())
$$;
comment on function esteira.now() is 'The queue''s clock: clock_timestamp(), or the session''s fake clock (setting esteira.fake_now) in tests.';
