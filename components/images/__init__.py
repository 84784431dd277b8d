"""Images from files, folders and the web: found, fetched and decoded with care."""
