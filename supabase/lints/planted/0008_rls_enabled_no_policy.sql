create table ops.planted (id integer primary key);
alter table ops.planted enable row level security;
