create view api.planted as select r.id from ops.runs as r;
grant select on api.planted to authenticated;
