"""After the push: are served vectors those of the backfill, and are the models still right?"""
