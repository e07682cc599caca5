create table ops.planted (id integer primary key, function regproc);
