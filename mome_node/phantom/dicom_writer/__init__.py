"""A phantom exam as the DICOM files that a scanner of one vendor would send."""

from mome_node.phantom.dicom_writer.courses import Course
from mome_node.phantom.dicom_writer.dynamic_layouts import DynamicLayout
from mome_node.phantom.dicom_writer.study import write_study

__all__ = ["Course", "DynamicLayout", "write_study"]
