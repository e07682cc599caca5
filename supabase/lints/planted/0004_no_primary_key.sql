create table ops.planted (id integer);
