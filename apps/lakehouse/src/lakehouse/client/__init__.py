"""The Python SDK: `async with connect() as lakehouse: await lakehouse.sql("select 1")`. The CLI is its first user."""

from lakehouse.client.lakehouse import Lakehouse, connect
from lakehouse.client.target import Target, find_stack

__all__ = ["Lakehouse", "Target", "connect", "find_stack"]
