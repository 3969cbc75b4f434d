"""The MOME network, its model package, preprocessing, prediction and explanation.

Knows tensors, not DICOM files.
"""
