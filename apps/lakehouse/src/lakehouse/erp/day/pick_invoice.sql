-- A posted customer invoice to sell again: $1 seed, $2 how many.
select id
from account_move
where move_type = 'out_invoice' and state = 'posted' and amount_total > 0
order by md5(id::text || ':' || $1::text)
limit $2;
