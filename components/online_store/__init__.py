"""The newest values of entities, for those who cannot wait: SQLite, Redis or PostgreSQL.

Example:
    store = open_online_store("sqlite:///features/online.db")
    store.write(card_spend, log)                                   rows of the view's change log
    store.read(card_spend, pl.DataFrame({"card_id": ["c1"]}), now)  a row for each asked row
"""

from components.online_store.opening import ONLINE, online_store_of, open_online_store
from components.online_store.store import OnlineStore, Written

__all__ = ["ONLINE", "OnlineStore", "Written", "online_store_of", "open_online_store"]
