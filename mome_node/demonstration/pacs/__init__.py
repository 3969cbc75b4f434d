"""The demonstration's PACS: a real Orthanc where one is installed, else an embedded archive."""
