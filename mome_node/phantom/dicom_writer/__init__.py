"""A phantom exam as the DICOM files that a scanner of one vendor would send."""

from mome_node.phantom.dicom_writer.study import write_study

__all__ = ["write_study"]
