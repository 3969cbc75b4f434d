"""Synthetic breast mpMRI with known truth, as DICOM: for the demo, the tests and training."""
