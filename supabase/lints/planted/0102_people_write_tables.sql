grant insert on ops.alerts to authenticated;
