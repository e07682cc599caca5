create schema auth;
create table auth.users (id uuid primary key, email text unique);
create view api.planted with (security_invoker = true) as select u.id from auth.users as u;
grant select on api.planted to authenticated;
