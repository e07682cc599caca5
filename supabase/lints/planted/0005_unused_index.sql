create table ops.planted (id integer primary key, other integer);
create index planted_unread on ops.planted (other);
