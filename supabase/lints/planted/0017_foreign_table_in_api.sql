create foreign data wrapper planted;
create server planted foreign data wrapper planted;
create foreign table api.planted (id integer) server planted;
grant select on api.planted to authenticated;
