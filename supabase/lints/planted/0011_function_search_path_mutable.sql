create function ops.planted() returns integer language sql as 'select 1';
