-- Events of one run behind a run_seq. run_seq has no gap, so this order is complete.
select to_jsonb(e) as item
from api.run_events as e
where e.run_id = $1 and e.run_seq > $2
order by e.run_seq
limit $3
