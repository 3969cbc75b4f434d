"""Findings become DICOM SR, SEG and pictures. No sending."""
