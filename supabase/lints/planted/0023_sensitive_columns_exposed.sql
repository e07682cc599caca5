create table api.planted (id integer primary key, api_key text);
grant select on api.planted to authenticated;
