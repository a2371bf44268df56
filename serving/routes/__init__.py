"""The routes, one file per resource; each file lists its endpoints in `ENDPOINTS`."""
