create policy "planted" on ops.bundles for select to authenticated
  using ((select current_setting('request.jwt.claims', true)::jsonb -> 'user_metadata' ->> 'role') = 'admin');
