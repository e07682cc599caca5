create table ops.planted (id integer primary key, other_id uuid references ops.organizations (id));
