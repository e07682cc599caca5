alter table ops.caps disable row level security;
