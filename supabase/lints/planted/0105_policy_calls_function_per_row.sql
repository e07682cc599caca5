create policy "planted" on ops.bundles for select to authenticated using (ops.lease_is_current(gen_random_uuid(), gen_random_uuid()));
