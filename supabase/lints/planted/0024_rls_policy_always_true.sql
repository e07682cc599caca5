create policy "planted" on ops.bundles for insert to authenticated with check (true);
