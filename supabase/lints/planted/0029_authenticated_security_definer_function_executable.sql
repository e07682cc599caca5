create function api.planted() returns integer language sql security definer set search_path = '' as 'select 1';
revoke execute on function api.planted from public;
grant execute on function api.planted to authenticated;
