"""Facts of the DICOM standard that every stage needs. Imports nothing of ours but errors."""
