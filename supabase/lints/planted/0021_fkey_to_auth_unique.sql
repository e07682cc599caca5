create schema auth;
create table auth.users (id uuid primary key, email text unique);
create table ops.planted (id integer primary key, email text references auth.users (email));
