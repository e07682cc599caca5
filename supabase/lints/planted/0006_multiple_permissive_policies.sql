create policy "planted" on ops.runs for select to authenticated using (false);
