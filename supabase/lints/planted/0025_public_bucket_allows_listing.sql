create schema storage;
create table storage.buckets (id text primary key, public boolean);
create table storage.objects (id uuid primary key, bucket_id text);
insert into storage.buckets values ('planted', true);
create policy "planted" on storage.objects for select using (true);
