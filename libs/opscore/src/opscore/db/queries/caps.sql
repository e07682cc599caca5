-- Caps of an environment, or the one of a name, with what is in use now.
select item
from ops.caps_in_use($1, $2) as item
