create table ops.planted (id integer primary key) partition by range (id);
