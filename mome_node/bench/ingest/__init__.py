"""`mome-node bench ingest`: the node, Orthanc and DCMTK's `storescp` receive the same instances."""
