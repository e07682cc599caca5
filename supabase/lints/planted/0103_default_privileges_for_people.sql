alter default privileges in schema ops grant select on tables to authenticated;
