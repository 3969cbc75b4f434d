"""mome-node: a clinical AI node for breast MRI. Research use only, not for diagnosis."""

__version__ = "0.1.0"
