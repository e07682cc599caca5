-- Who stopped new leases, why and since when; null when nobody did.
select
    case
        when s.paused_at is not null
            then jsonb_build_object('by', s.paused_by, 'reason', s.paused_reason, 'since', s.paused_at)
    end as item
from ops.settings as s
