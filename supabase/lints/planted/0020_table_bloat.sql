create table ops.planted (id integer primary key, filler text) with (autovacuum_enabled = false);
alter table ops.planted alter column filler set storage plain;
insert into ops.planted select n, repeat('x', 1900) from generate_series(1, 8000) as n;
delete from ops.planted where id > 10;
analyze ops.planted;
