create table api.planted (id integer primary key);
grant select on api.planted to authenticated;
