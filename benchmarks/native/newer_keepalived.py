def fetched(): return None
