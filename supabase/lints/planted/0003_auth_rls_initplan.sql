create policy "planted" on ops.bundles for select to authenticated using (digest = current_setting('request.jwt.claims', true));
